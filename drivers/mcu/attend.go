package mcu

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// attendEvery is how soon it is noticed that the microcontroller has taken its safe
// state by itself.
const attendEvery = time.Second

// attend renews leases, and looks for what the microcontroller does by itself, until
// life ends.
func (d *Dev) attend(life context.Context, conn *link.Conn) {
	ticker := time.NewTicker(attendEvery)
	defer ticker.Stop()
	renewed, before := time.Now(), conn.Stats()
	for {
		select {
		case <-ticker.C:
		case <-life.Done():
			return
		}
		now := conn.Stats()
		if now.Resets == before.Resets && now.Noticed != before.Noticed {
			d.log.Warn("the microcontroller has taken its safe state by itself, since it heard nothing of the gateway in time")
			d.mu.Lock()
			d.rested(now.Sessions+1, true)
			d.mu.Unlock()
		}
		before = now
		if d.config.Lease > 0 && time.Since(renewed) >= d.config.Lease/3-attendEvery/2 {
			renewed = time.Now()
			d.renew(life, conn)
		}
	}
}

// renew asks for what is leased again.
func (d *Dev) renew(life context.Context, conn *link.Conn) {
	for _, id := range d.leased() {
		ctx, cancel := context.WithTimeout(life, d.config.Lease/3)
		d.again(ctx, conn, id)
		cancel()
	}
}

// again asks for what is leased by an action, if it still is.
func (d *Dev) again(ctx context.Context, conn *link.Conn, id uint8) {
	var err error
	select {
	case d.acting <- struct{}{}:
		defer func() { <-d.acting }()
	case <-ctx.Done(): // an action takes longer than the lease can wait
		err = ctx.Err()
	}
	d.mu.Lock()
	l, holds := d.leases[id]
	d.mu.Unlock()
	if !holds {
		return
	}
	if err == nil {
		_, err = conn.Do(ctx, l.action, d.config.Lease, l.args...)
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		d.log.Warn("a lease was not renewed, so that the output takes its safe state by and by", "action", l.action.Name, "error", err)
		d.failed(l.action, err)
	}
}

// leased are the actions whose leases hold, in their order.
func (d *Dev) leased() []uint8 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.leases))
}
