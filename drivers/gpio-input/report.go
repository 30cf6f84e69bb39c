package gpioinput

import (
	"context"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// late is how old a change must be for its reading to carry a time of its own.
const late = time.Second

// report tells what a watch has seen.
type report struct {
	dev   *Dev
	watch *watch
	sink  gateway.Sink

	state bool // that was told last
	// The report before: when it was, and the count then.
	beat  time.Time
	count uint64
}

// run tells of changes and beats until ctx ends or the watch does.
func (r *report) run(ctx context.Context, state bool, watched <-chan error) error {
	r.state, r.beat = state, time.Now()
	r.count, _ = r.dev.tally.now()
	ticker := time.NewTicker(r.dev.config.ReportEvery)
	defer ticker.Stop()
	err := r.emit(ctx, r.standing())
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watched:
			if told := r.changes(ctx); err == nil {
				err = told
			}
			return err
		case <-r.watch.news:
			err = r.changes(ctx)
		case <-ticker.C:
			err = r.regular(ctx)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// standing is what there is to tell at any time: the state, or the count if all
// of it is safe.
func (r *report) standing() []gateway.Reading {
	if r.dev.config.Kind != counter {
		return []gateway.Reading{r.stateReading()}
	}
	if count, safe := r.dev.tally.now(); count == safe {
		return r.countReadings()
	}
	return nil
}

func (r *report) stateReading() gateway.Reading {
	reading := gateway.Reading{Name: r.dev.nature.reading, Value: gateway.Bool(r.state)}
	if r.watch.doubtful() {
		reading.Quality = gateway.Uncertain
	}
	return reading
}

// changes tells of the changes since the last time.
func (r *report) changes(ctx context.Context) error {
	changes, lost := r.watch.toTell()
	if lost > 0 {
		if err := r.emit(ctx, []gateway.Reading{{Name: "edges_lost", Value: gateway.Number(float64(lost))}}); err != nil {
			return err
		}
	}
	for _, c := range changes {
		r.state = c.state
		reading := r.stateReading()
		if time.Since(c.at) > late {
			reading.Time = c.at
		}
		if err := r.emit(ctx, []gateway.Reading{reading}); err != nil {
			return err
		}
	}
	return nil
}

// regular tells the state, or the rate, every report_every.
func (r *report) regular(ctx context.Context) error {
	if err := r.changes(ctx); err != nil {
		return err
	}
	if r.dev.config.Kind != counter {
		return r.emit(ctx, r.standing())
	}
	readings := r.rates()
	saved, failed := r.saveInTime()
	if saved {
		readings = append(readings, r.countReadings()...)
	} else {
		readings = append(readings, r.standing()...)
	}
	if err := r.emit(ctx, readings); err != nil {
		return err
	}
	return failed
}

// saveInTime saves the count if it is time to.
func (r *report) saveInTime() (saved bool, err error) {
	d := r.dev
	if !d.tally.due(d.config.SaveEvery) {
		return false, nil
	}
	err = d.tally.save()
	return err == nil, err
}

// rates are those since the report before.
func (r *report) rates() []gateway.Reading {
	now := time.Now()
	count, _ := r.dev.tally.now()
	hertz := float64(count-r.count) / now.Sub(r.beat).Seconds()
	r.beat, r.count = now, count
	readings := []gateway.Reading{{Name: "rate", Value: gateway.Number(hertz), Unit: "Hz"}}
	if c := r.dev.config; c.Unit != "" {
		s := speedOf(c.Unit)
		readings = append(readings, gateway.Reading{Name: s.reading, Value: gateway.Number(hertz * c.PerPulse * s.seconds), Unit: s.unit})
	}
	return readings
}

// countReadings tell the count that is safe.
func (r *report) countReadings() []gateway.Reading {
	_, safe := r.dev.tally.now()
	readings := []gateway.Reading{{Name: "count", Value: gateway.Number(float64(safe))}}
	if c := r.dev.config; c.Unit != "" {
		readings = append(readings, gateway.Reading{Name: "total", Value: gateway.Number(c.Start + float64(safe)*c.PerPulse), Unit: c.Unit})
	}
	return readings
}

func (r *report) emit(ctx context.Context, readings []gateway.Reading) error {
	if len(readings) == 0 {
		return nil
	}
	return r.sink.Emit(ctx, readings...)
}
