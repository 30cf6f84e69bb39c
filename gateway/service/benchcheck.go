package service

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Finding is what was found of one device.
type Finding struct {
	// Device is its id, Label says which one it is.
	Device gateway.DeviceID `json:"device"`
	Label  string           `json:"label"`
	// OK is false if it does not do what it should.
	OK bool `json:"ok"`
	// Opened is false of an output, which was only looked up: opening it would
	// switch it.
	Opened bool `json:"opened"`
	// Text is what it said, or what is wrong.
	Text string `json:"text"`
}

// Check opens every device of the config and reads it once, all at the same time.
// Outputs are looked up and not opened, so that nothing moves. The findings are in
// the order of the config.
func (b *Bench) Check(ctx context.Context) []Finding {
	findings := make([]Finding, len(b.config.devices))
	var checking sync.WaitGroup
	for i, spec := range b.config.devices {
		checking.Go(func() { findings[i] = b.check(ctx, spec) })
	}
	checking.Wait()
	return findings
}

func (b *Bench) check(ctx context.Context, spec deviceSpec) Finding {
	f := Finding{Device: gateway.DeviceID(spec.ID), Label: spec.label()}
	k := b.keep(spec)
	switch can := k.Contracts(); {
	case moves(k):
		text, err := b.buses.Look(spec.config)
		f.OK, f.Text = err == nil, text+"; not opened, since that would switch it"
		if err != nil {
			f.Text = withoutUnavailable(err)
		}
	case can.Sensor == nil && can.Stream != nil && !wired(spec):
		f.OK, f.Text = true, "wired to nothing; it hears other programs once the gateway runs"
	case can.Sensor == nil && can.Stream == nil:
		f.Opened = true
		ctx, cancel := context.WithTimeout(ctx, benchOpens)
		defer cancel()
		if err := k.Check(ctx); err != nil {
			f.Text = withoutUnavailable(err)
			break
		}
		f.OK, f.Text = true, "it answers"
	default:
		f.Opened = true
		r := b.read(ctx, spec, k)
		f.OK, f.Text = r.Error == "" && len(r.Readings) > 0, r.text()
	}
	return f
}

// wired tells whether a device is wired to anything.
func wired(spec deviceSpec) bool {
	_, is := spec.config.(bus.Placed)
	return is
}

// moves tells whether a device has outputs that opening it would switch: a driver
// can have a safe state, and a device of it nothing that could be asked for.
func moves(k *drivers.Keeper) bool { return k.Contracts().Safer != nil && len(k.Actions()) > 0 }

// text is an answer in one line, without the name of the device.
func (r Reading) text() string {
	var all []string
	for _, one := range r.Readings {
		all = append(all, one.Text())
	}
	said := strings.Join(all, ", ")
	switch {
	case r.Error != "" && said != "":
		return r.Error + "; it says: " + said
	case r.Error != "":
		return r.Error
	case said == "":
		return "it answers, and gives no readings"
	}
	return said
}

// Text is a reading for people.
func (r LatestReading) Text() string { return r.Name + " " + r.Amount() }

// Amount is the value for people, with six digits of a number.
func (r LatestReading) Amount() string {
	value := r.Plain()
	if n, is := r.Value.Number(); is {
		value = strconv.FormatFloat(n, 'g', 6, 64)
	}
	text := strings.TrimSpace(value + " " + r.Unit)
	if r.Quality != gateway.Good && r.Quality != "" {
		text += " (" + string(r.Quality) + ")"
	}
	return text
}

// maxPlain is how much of a text a terminal is shown, in characters.
const maxPlain = 200

// Plain is the value for a terminal. Texts come from devices and other programs:
// what could move the cursor, or hide what stands there, is written out.
func (r LatestReading) Plain() string {
	text, isText := r.Value.Text()
	if !isText {
		return r.Value.String()
	}
	var b strings.Builder
	n := 0
	for _, c := range text {
		switch n++; {
		case n > maxPlain:
			return b.String() + "…"
		case unicode.IsGraphic(c):
			b.WriteRune(c)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
	}
	return b.String()
}

// withoutUnavailable is an error for people: of what does not answer it is plain
// that it is unavailable.
func withoutUnavailable(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+gateway.ErrUnavailable.Error())
}
