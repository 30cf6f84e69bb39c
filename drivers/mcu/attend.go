package mcu

import (
	"context"
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
		if now.Resets == before.Resets && now.Failsafes != before.Failsafes {
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
	for _, l := range d.leased() {
		ctx, cancel := context.WithTimeout(life, d.config.Lease/3)
		_, err := conn.Do(ctx, l.action, d.config.Lease, l.args...)
		cancel()
		if err != nil && life.Err() == nil {
			d.log.Warn("a lease was not renewed, so that the output takes its safe state by and by", "action", l.action.Name, "error", err)
			d.failed(l.action, err)
		}
	}
}

// leased are the leases that hold, in the order of their actions.
func (d *Dev) leased() []lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []lease
	for _, l := range d.leases {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b lease) int { return int(a.action.ID) - int(b.action.ID) })
	return all
}
