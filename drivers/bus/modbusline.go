package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// rtuLine is Modbus on a serial port.
type rtuLine struct {
	modbus.RTU
	port *Port
}

func (l *rtuLine) close() error { return l.port.Close() }

// alive: what is wrong with a port shows before anything is sent.
func (l *rtuLine) alive() bool { return true }

// spent: a port stays what it is, unless it was unplugged.
func (l *rtuLine) spent(err error) bool { return errors.Is(err, gateway.ErrUnavailable) }

func (s *Set) openRTU(ctx context.Context, c *RTUConfig) (asker, error) {
	port, err := s.Port(ctx, c.PortConfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Port, err)
	}
	return &rtuLine{RTU: modbus.RTU{Line: port, Gap: max(c.Gap, port.Gap()), Timeout: c.Timeout, Takes: port.Takes, Echo: c.Echo}, port: port}, nil
}

// tcpLine is Modbus on a TCP connection.
type tcpLine struct {
	modbus.TCP
	timeout time.Duration
}

func (l *tcpLine) Ask(ctx context.Context, r modbus.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return l.TCP.Ask(ctx, r)
}

func (l *tcpLine) close() error { return l.Conn.Close() }

// alive: many units close a connection that is idle.
func (l *tcpLine) alive() bool {
	conn, ok := l.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	var peeked error
	err = raw.Control(func(fd uintptr) {
		n, _, peeked = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && (n > 0 || errors.Is(peeked, unix.EAGAIN) || errors.Is(peeked, unix.EINTR))
}

// spent: what comes after any error may belong to what was asked before.
func (l *tcpLine) spent(error) bool { return true }

// defaultTCPPort is that of Modbus by IANA.
const defaultTCPPort = "502"

func (c *TCPConfig) dial(ctx context.Context) (asker, error) {
	address := c.Address
	if _, _, err := net.SplitHostPort(address); err != nil {
		address += ":" + defaultTCPPort
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("nobody can be reached there: %w: %w", err, gateway.ErrUnavailable)
	}
	return &tcpLine{TCP: modbus.TCP{Conn: conn}, timeout: c.Timeout}, nil
}
