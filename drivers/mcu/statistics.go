package mcu

import (
	"context"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// pace tells about the link, each time that the config says, until ctx ends.
func (d *Dev) pace(ctx context.Context, conn *link.Conn, sink gateway.Sink) {
	if d.config.Statistics == 0 {
		return
	}
	ticker := time.NewTicker(d.config.Statistics)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := sink.Emit(ctx, statistics(conn.Stats())...); err != nil {
			return // the end of Run says why
		}
	}
}

func statistics(s link.Stats) []gateway.Reading {
	count := func(name string, n uint64) gateway.Reading {
		return gateway.Reading{Name: name, Value: gateway.Number(float64(n))}
	}
	readings := []gateway.Reading{
		count("link.resets", s.Resets), count("link.failsafes", uint64(s.Failsafes)), count("link.lost", s.Lost),
		count("link.retries", s.Retries), count("link.damaged", s.Damaged), count("link.damaged_there", uint64(s.PeerDamaged)),
	}
	if s.RoundTrip > 0 {
		readings = append(readings, gateway.Reading{
			Name: "link.round_trip", Unit: "s", Value: gateway.Number(s.RoundTrip.Round(10 * time.Microsecond).Seconds()),
		})
	}
	return readings
}

// tellTo says where tell tells.
func (d *Dev) tellTo(sink gateway.Sink) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// tell tells what was not asked for by Run.
func (d *Dev) tell(ctx context.Context, readings ...gateway.Reading) {
	d.mu.Lock()
	sink := d.sink
	d.mu.Unlock()
	if sink == nil || len(readings) == 0 {
		return
	}
	if err := sink.Emit(ctx, readings...); err != nil {
		d.log.Warn("readings are lost", "error", err)
	}
}
