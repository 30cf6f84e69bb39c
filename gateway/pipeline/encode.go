package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// Bounds of one reading.
const (
	// MaxTextBytes bounds the value of a textual reading.
	MaxTextBytes = 16 << 10
	// MaxNameBytes bounds the device, the name and the unit, each.
	MaxNameBytes = 256
)

// The body of a message is bodyHead, readings with a comma between them, and
// bodyTail. Each reading is an object with the members of wireReading.
const (
	bodyHead = `{"v":1,"readings":[`
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

// encodeReading gives the JSON form of a reading that has been stamped. The
// error wraps gateway.ErrInvalid and names the reading.
func encodeReading(r gateway.Reading) ([]byte, error) {
	if err := checkReading(r); err != nil {
		return nil, fmt.Errorf("reading %.60q of device %.60q: %w: %w", r.Name, r.Device, err, gateway.ErrInvalid)
	}
	w := wireReading{
		Device: r.Device, Name: r.Name, Value: r.Value, Unit: r.Unit,
		Time: r.Time.UTC().Format(timeLayout), Quality: r.Quality, Seq: r.Seq,
	}
	if w.Quality == gateway.Good {
		w.Quality = ""
	}
	data, err := json.Marshal(w)
	if err != nil { // NaN and the infinities
		return nil, fmt.Errorf("reading %.60q of device %.60q: %w", r.Name, r.Device, errors.Join(err, gateway.ErrInvalid))
	}
	return data, nil
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

// telemetry makes the message of one body.
func telemetry(lane gateway.Lane, now time.Time, body []byte) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindTelemetry,
		Created: now.UTC(), ContentType: contentType, Body: body,
	}
}

// wireAlert is the JSON form of an alert: the object behind "alert".
type wireAlert struct {
	gateway.Alert
	Time string `json:"time"`
}

// alertMessage makes the message of one alert.
func alertMessage(lane gateway.Lane, now time.Time, a gateway.Alert) (gateway.Message, error) {
	body, err := json.Marshal(struct {
		V     int       `json:"v"`
		Alert wireAlert `json:"alert"`
	}{1, wireAlert{a, a.Time.UTC().Format(timeLayout)}})
	if err != nil {
		return gateway.Message{}, fmt.Errorf("alert %s of device %s: %w", a.ID, a.Device, errors.Join(err, gateway.ErrInvalid))
	}
	m := telemetry(lane, now, body)
	m.Kind = gateway.KindAlert
	return m, nil
}

// wireEvent is the JSON form of an event: the object behind "event".
type wireEvent struct {
	gateway.Event
	Time string `json:"time"`
}

// eventMessage makes the message of one event.
func eventMessage(lane gateway.Lane, now time.Time, e gateway.Event) (gateway.Message, error) {
	body, err := json.Marshal(struct {
		V     int       `json:"v"`
		Event wireEvent `json:"event"`
	}{1, wireEvent{e, e.Time.UTC().Format(timeLayout)}})
	if err != nil {
		return gateway.Message{}, fmt.Errorf("event %s of device %s: %w", e.Name, e.Device, errors.Join(err, gateway.ErrInvalid))
	}
	m := telemetry(lane, now, body)
	m.Kind = gateway.KindEvent
	return m, nil
}

// gapMessage makes the message of one gap.
func gapMessage(lane gateway.Lane, now time.Time, g gateway.Gap) (gateway.Message, error) {
	g.Time = g.Time.UTC()
	body, err := json.Marshal(g)
	if err != nil {
		return gateway.Message{}, fmt.Errorf("gap in the readings of device %s: %w", g.Device, errors.Join(err, gateway.ErrInvalid))
	}
	m := telemetry(lane, now, body)
	m.Kind = gateway.KindGap
	return m, nil
}
