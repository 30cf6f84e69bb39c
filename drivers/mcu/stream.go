package mcu

import (
	"context"
	"errors"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// stream is a port as the link wants it.
type stream struct {
	*bus.Port
	life context.Context //nolint:containedctx // Read has none, and Close must end it
	end  context.CancelFunc
}

func newStream(p *bus.Port) *stream {
	s := &stream{Port: p}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Read implements io.Reader. Bytes that the port had to drop are like those that the
// line has lost: the link finds out.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Port.Read(s.life, b)
	if errors.Is(err, gateway.ErrFull) {
		err = nil
	}
	return n, err
}

// Write implements io.Writer. It is bounded by the port.
func (s *stream) Write(b []byte) (int, error) {
	if err := s.Port.Write(s.life, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.end()
	return s.Port.Close()
}
