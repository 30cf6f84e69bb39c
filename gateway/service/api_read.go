package service

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// asked is a source that can be read now: that of a polled device.
type asked interface {
	Ask(ctx context.Context) ([]gateway.Reading, error)
}

var _ asked = (*pipeline.Poller)(nil)

// read answers POST /v1/devices/{id}/read: what the device says now. Nothing of it
// is sent.
func (a *api) read(w http.ResponseWriter, r *http.Request) {
	now := a.now()
	spec, err := now.config.device(r.PathValue("id"))
	if err != nil {
		fault(w, http.StatusNotFound, err)
		return
	}
	for _, d := range now.devices {
		if d.spec.ID == spec.ID {
			a.readDevice(w, r, d)
		}
	}
}

func (a *api) readDevice(w http.ResponseWriter, r *http.Request, d *device) {
	if d.can.Sensor == nil && d.can.Stream == nil {
		fault(w, http.StatusBadRequest, noReadings(d.spec))
		return
	}
	source, polled := d.source.(asked)
	if !polled {
		stats := d.source.Stats()
		answer(w, a.lastOf(d, stats))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*d.spec.Timeout+time.Second)
	defer cancel()
	readings, err := source.Ask(ctx)
	answer(w, reading(d.spec, readings, err))
}

// lastOf is what a stream has said last.
func (a *api) lastOf(d *device, stats pipeline.DeviceStats) Reading {
	var err error
	switch {
	case stats.Reason != "":
		err = fmt.Errorf("%s: %s", stats.State, stats.Reason) //nolint:err113 // for people
	case len(stats.Latest) == 0:
		err = fmt.Errorf("it has said nothing yet: %w", gateway.ErrUnavailable)
	}
	r := reading(d.spec, stats.Latest, err)
	r.Latest = true
	return r
}
