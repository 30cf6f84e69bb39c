package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif of linux/seccomp.h, answer is struct
// seccomp_notif_resp.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	data  struct {
		call               int32
		arch               uint32
		instructionPointer uint64
		args               [6]uint64
	}
}

type answer struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// supervisor holds up the syncs of a child. It is not in the child itself,
// whose scheduler would then decide how long a sync takes.
type supervisor struct {
	delay time.Duration
	own   *net.UnixConn
	child *os.File // goes to the child as supervisorSocket
	ended sync.WaitGroup
	err   error
}

func newSupervisor(delay time.Duration) (*supervisor, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("supervise a child: %w", err)
	}
	own := os.NewFile(uintptr(pair[0]), "supervisor")
	defer own.Close()
	conn, err := net.FileConn(own)
	if err != nil {
		return nil, errors.Join(err, unix.Close(pair[1]))
	}
	s := &supervisor{delay: delay, own: conn.(*net.UnixConn), child: os.NewFile(uintptr(pair[1]), "child")}
	s.ended.Go(func() { s.err = s.run() })
	return s, nil
}

// wait is called when the child has ended; it says why its syncs were not
// delayed.
func (s *supervisor) wait() error {
	s.child.Close()
	s.ended.Wait()
	return s.err
}

func (s *supervisor) run() error {
	defer s.own.Close()
	listener, err := receiveFile(s.own)
	if err != nil {
		return fmt.Errorf("supervise a child: %w", err)
	}
	defer listener.Close()
	conn, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	var held sync.WaitGroup
	defer held.Wait()
	for {
		n, err := receive(conn)
		if err != nil {
			return err
		}
		if n == nil { // the child has ended
			return nil
		}
		held.Go(func() {
			time.Sleep(s.delay)
			_ = release(conn, n.id) // an error: the caller is gone
		})
	}
}

// receiveFile gets the file that the other end sends.
func receiveFile(conn *net.UnixConn) (*os.File, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return nil, errors.Join(err, errors.New("it sent no listener"))
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(files[0], true); err != nil { // so that Go's poller waits for it
		return nil, err
	}
	return os.NewFile(uintptr(files[0]), "listener"), nil
}

// receive waits for the next call; nil when nobody is left to make one.
func receive(conn syscall.RawConn) (*notification, error) {
	for {
		var n notification
		var failed error
		ended := false
		err := conn.Read(func(fd uintptr) bool {
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, failed = unix.Poll(ready, 0); failed != nil {
				return true
			}
			switch events := ready[0].Revents; {
			case events&unix.POLLIN != 0:
				failed = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
				return true
			default:
				ended = events&unix.POLLHUP != 0
				return ended
			}
		})
		switch {
		case err != nil:
			return nil, err
		case ended:
			return nil, nil
		case errors.Is(failed, unix.EINTR), errors.Is(failed, unix.ENOENT): // the caller is gone
		case failed != nil:
			return nil, fmt.Errorf("supervise a child: %w", failed)
		default:
			return &n, nil
		}
	}
}

// release lets a call go on as if nothing had been.
func release(conn syscall.RawConn, id uint64) error {
	a := answer{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
	})
	return errors.Join(err, failed)
}

// ioctl returns a nil error and no Errno of 0.
func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, code := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)); code != 0 {
		return code
	}
	return nil
}
