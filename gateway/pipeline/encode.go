package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
)

// Bounds of one reading.
const (
	// MaxTextBytes bounds the value of a textual reading.
	MaxTextBytes = 16 << 10
	// MaxNameBytes bounds the device, the name and the unit, each.
	MaxNameBytes = 256
)

// The body of a message is bodyHead, a label of package dating if something in it is
// undated, bodyList, readings with a comma between them, and bodyTail. Each reading is an
// object with the members of wireReading.
const (
	bodyHead = `{"v":1,`
	bodyList = `"readings":[`
	bodyTail = `]}`
)

const contentType = "application/json"

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// wireReading is the JSON form of a reading. An empty unit and the quality
// "good" are left out: they are what a receiver assumes.
type wireReading struct {
	Device  gateway.DeviceID `json:"device"`
	Name    string           `json:"name"`
	Value   gateway.Value    `json:"value"`
	Unit    string           `json:"unit,omitempty"`
	Time    string           `json:"time"`
	Quality gateway.Quality  `json:"quality,omitempty"`
	Seq     uint64           `json:"seq,omitempty"`
}

// encoded is a reading in its JSON form.
type encoded struct {
	text    []byte
	undated bool // it lacks the time of day
}

// encodeReading encodes a reading that has been stamped. The error wraps
// gateway.ErrInvalid and names the reading.
func encodeReading(r gateway.Reading) (e encoded, err error) {
	if err := checkReading(r); err != nil {
		return e, fmt.Errorf("reading %.60q of device %.60q: %w: %w", r.Name, r.Device, err, gateway.ErrInvalid)
	}
	w := wireReading{
		Device: r.Device, Name: r.Name, Value: r.Value, Unit: r.Unit,
		Time: r.Time.UTC().Format(timeLayout), Quality: r.Quality, Seq: r.Seq,
	}
	if w.Quality == gateway.Good {
		w.Quality = ""
	}
	_, e.undated = gateway.Uptime(r.Time)
	if e.text, err = json.Marshal(w); err != nil { // NaN and the infinities
		return e, fmt.Errorf("reading %.60q of device %.60q: %w", r.Name, r.Device, errors.Join(err, gateway.ErrInvalid))
	}
	return e, nil
}

func checkReading(r gateway.Reading) error {
	if r.Name == "" {
		return errors.New("it has no name")
	}
	for _, s := range []string{string(r.Device), r.Name, r.Unit, string(r.Quality)} {
		if len(s) > MaxNameBytes || !utf8.ValidString(s) {
			return fmt.Errorf("device, name, unit and quality must be UTF-8 of at most %d bytes", MaxNameBytes)
		}
	}
	if text, ok := r.Value.Text(); ok {
		switch {
		case len(text) > MaxTextBytes:
			return fmt.Errorf("its text has %d bytes, at most %d are allowed", len(text), MaxTextBytes)
		case !utf8.ValidString(text):
			return errors.New("its text is not UTF-8")
		}
	}
	if y := r.Time.UTC().Year(); y < 1 || y > 9999 {
		return fmt.Errorf("its time is in the year %d", y)
	}
	return nil
}

// telemetry makes the message of a pack.
func (b *Batcher) telemetry(p *pack) gateway.Message {
	now := b.opts.Clock.Now()
	boot := b.boot(now)
	if p.undated > 0 {
		boot = b.opts.Boot
	}
	return b.message(gateway.KindTelemetry, now, p.body(dating.Label(boot)))
}

// boot is what a time needs beside it, if it is undated.
func (b *Batcher) boot(t time.Time) string {
	if _, undated := gateway.Uptime(t); undated {
		return b.opts.Boot
	}
	return ""
}

func (b *Batcher) message(kind gateway.Kind, now time.Time, body []byte) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Lane: b.opts.Lane}, Kind: kind,
		Created: now.UTC(), ContentType: contentType, Body: body,
	}
}

// wireAlert is the JSON form of an alert: the object behind "alert".
type wireAlert struct {
	gateway.Alert
	Time string `json:"time"`
}

// alert makes the message of one alert.
func (b *Batcher) alert(a gateway.Alert) (gateway.Message, error) {
	body, err := json.Marshal(struct {
		V     int       `json:"v"`
		Boot  string    `json:"boot,omitempty"`
		Alert wireAlert `json:"alert"`
	}{1, b.boot(a.Time), wireAlert{a, a.Time.UTC().Format(timeLayout)}})
	if err != nil {
		return gateway.Message{}, fmt.Errorf("alert %s of device %s: %w", a.ID, a.Device, errors.Join(err, gateway.ErrInvalid))
	}
	return b.message(gateway.KindAlert, b.opts.Clock.Now(), body), nil
}

// wireEvent is the JSON form of an event: the object behind "event".
type wireEvent struct {
	gateway.Event
	Time string `json:"time"`
}

// event makes the message of one event.
func (b *Batcher) event(e gateway.Event) (gateway.Message, error) {
	body, err := json.Marshal(struct {
		V     int       `json:"v"`
		Boot  string    `json:"boot,omitempty"`
		Event wireEvent `json:"event"`
	}{1, b.boot(e.Time), wireEvent{e, e.Time.UTC().Format(timeLayout)}})
	if err != nil {
		return gateway.Message{}, fmt.Errorf("event %s of device %s: %w", e.Name, e.Device, errors.Join(err, gateway.ErrInvalid))
	}
	return b.message(gateway.KindEvent, b.opts.Clock.Now(), body), nil
}

// gap makes the message of one gap.
func (b *Batcher) gap(g gateway.Gap) (gateway.Message, error) {
	g.Boot, g.Time = b.boot(g.Time), g.Time.UTC()
	body, err := json.Marshal(g)
	if err != nil {
		return gateway.Message{}, fmt.Errorf("gap in the readings of device %s: %w", g.Device, errors.Join(err, gateway.ErrInvalid))
	}
	return b.message(gateway.KindGap, b.opts.Clock.Now(), body), nil
}
