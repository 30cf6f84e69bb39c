package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// rates are tried in this order.
var rates = []int{9600, 4800, 115200, 38400, 19200, 57600}

// enough is how much of what is heard is judged.
const enough = 4 << 10

// listenAll listens to the ports that are free, all at the same time.
func (p *prober) listenAll(ctx context.Context) {
	p.Progress(fmt.Sprintf("listening, for %v at most", p.Listen*time.Duration(len(rates))))
	var listening sync.WaitGroup
	for i := range p.report.Serial {
		port := &p.report.Serial[i]
		if port.UsedBy == "" && port.Problem == "" && p.wanted(port) {
			listening.Go(func() { p.listen(ctx, port) })
		}
	}
	listening.Wait()
}

// wanted tells whether a port is among those that were named, if any were.
func (p *prober) wanted(port *SerialPort) bool {
	return len(p.Ports) == 0 || slices.ContainsFunc(p.Ports, func(name string) bool {
		return name == port.Port || name == port.Device || p.same(name, port.Device)
	})
}

// listen tries one rate after the other until what comes makes sense.
func (p *prober) listen(ctx context.Context, port *SerialPort) {
	best := Heard{Kind: Silence}
	for _, baud := range rates {
		data, err := p.hear(ctx, port.Port, baud)
		if err != nil {
			port.Problem = err.Error()
			return
		}
		h := classify(data)
		if h.Kind != Silence && h.Kind != Noise {
			h.Baud = baud
			port.Heard = &h
			return
		}
		if best.Kind == Silence {
			best = h
		}
	}
	port.Heard = &best
}

// hear gives what comes at a rate.
func (p *prober) hear(ctx context.Context, name string, baud int) (data []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Listen)
	defer cancel()
	port, err := p.buses.Port(ctx, bus.PortConfig{Port: p.path(name), Baud: baud, DataBits: 8, Parity: "none", StopBits: 1, DTR: bus.Keep, RTS: bus.Keep})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	chunk := make([]byte, 512)
	for len(data) < enough {
		n, err := port.Read(ctx, chunk)
		data = append(data, chunk[:n]...)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return data, nil
		case err != nil && !errors.Is(err, gateway.ErrFull):
			return nil, err
		}
	}
	return data, nil
}
