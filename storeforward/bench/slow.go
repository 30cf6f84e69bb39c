package main

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// supervisorSocket is the descriptor that a child with slow syncs inherits.
const supervisorSocket = 3

// slowSyncs has each fsync, fdatasync and msync of this process held up by the
// parent, from now until the process ends, whatever thread calls it and for
// whatever engine. It needs Linux 5.7 with seccomp, and no privileges.
func slowSyncs() error {
	listener, err := filterSyncs()
	if err != nil {
		return fmt.Errorf("delay syncs: %w; it needs Linux 5.7 with CONFIG_SECCOMP_FILTER", err)
	}
	if err := unix.Sendmsg(supervisorSocket, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("delay syncs: hand the listener to the parent: %w", err)
	}
	return errors.Join(unix.Close(listener), unix.Close(supervisorSocket))
}

// filterSyncs has the kernel report the syncs of all threads.
func filterSyncs() (listener int, err error) {
	runtime.LockOSThread() // the kernel looks at the flag of the thread that asks
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no_new_privs: %w", err)
	}
	filter := syncFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	fd, _, code := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if code != 0 {
		return 0, fmt.Errorf("seccomp: %w", code)
	}
	return int(fd), nil
}

// syncFilter is the program that picks the calls: load the number of the call,
// compare it with each, report or allow. A process in Go makes the calls of its
// own architecture only, so that is not looked at.
func syncFilter() []unix.SockFilter {
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_MSYNC}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for i, call := range calls {
		toReport := uint8(len(calls) - i)
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: toReport, K: call})
	}
	return append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
}
