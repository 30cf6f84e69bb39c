package bus

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// rtuLine is Modbus on a serial port.
type rtuLine struct {
	modbus.RTU
	port *Port
}

func (l *rtuLine) close() error { return l.port.Close() }

// spent: a port stays what it is, unless it was unplugged.
func (l *rtuLine) spent(err error) bool { return errors.Is(err, gateway.ErrUnavailable) }

func (s *Set) openRTU(ctx context.Context, c *RTUConfig) (asker, error) {
	port, err := s.Port(ctx, c.PortConfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Port, err)
	}
	return &rtuLine{RTU: modbus.RTU{Line: port, Gap: max(c.Gap, port.Gap()), Echo: c.Echo}, port: port}, nil
}

// tcpLine is Modbus on a TCP connection.
type tcpLine struct{ modbus.TCP }

func (l *tcpLine) close() error { return l.Conn.Close() }

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
	return &tcpLine{TCP: modbus.TCP{Conn: conn}}, nil
}
