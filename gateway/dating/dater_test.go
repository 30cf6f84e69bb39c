package dating_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
)

const (
	undatedReadings = `{"v":1,"boot":"b1","readings":[` +
		`{"device":"air","name":"time","value":"1900-01-01T00:00:01.000Z","time":"1900-01-01T00:01:00.250Z","quality":"bad"},` +
		`{"device":"gps","name":"speed","value":3,"time":"2027-03-05T11:00:00.000Z"}]}`
	undatedAlert  = `{"v":1,"boot":"b1","alert":{"device":"air","id":"hot","active":true,"values":{"time":"1900-01-01T00:00:01Z"},"time":"1900-01-01T00:01:00.250Z"}}`
	undatedEvent  = `{"v":1,"boot":"b1","event":{"device":"pump","name":"made-safe","outputs":{"time":"1900-01-01T00:00:01Z"},"time":"1900-01-01T00:01:00.250Z"}}`
	undatedResult = `{"boot":"b1","command":"c","status":"done","values":{"finished":"1900-01-01T00:00:01Z"},"finished":"1900-01-01T00:01:00.250499Z"}`
	undatedGap    = `{"boot":"b1","store":"s","lane":"telemetry","first":1,"last":2,"count":2,"reason":"overflow","time":"1900-01-01T00:01:00.25Z"}`
)

func message(seq uint64, body string) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Store: "s", Lane: "telemetry", Seq: seq}, Kind: gateway.KindTelemetry,
		Created: gateway.Undated(2 * time.Minute), ContentType: "application/json", Body: []byte(body),
	}
}

// once replaces the last time in a body.
func once(body, by string) string {
	i := strings.LastIndex(body, `"1900-01-01T00:01:00`)
	j := i + 1 + strings.IndexByte(body[i+1:], '"') + 1
	return body[:i] + by + body[j:]
}

func TestDate(t *testing.T) {
	known, open, bounded := newBoard(), newBoard(), newBoard()
	known.knows = true
	bounded.run()
	bounded.reboot("b2", time.Hour)
	bounded.knows = true
	estimate := `"2026-11-01T00:00:00.250Z","time_estimated":true,"uptime":60.250`
	tests := []struct {
		name    string
		board   *board
		label   string
		time    string
		created time.Time
	}{
		{"known", known, ``, `"2027-03-05T12:01:00.250Z"`, truth.Add(2 * time.Minute)},
		{"not known yet", open, `"boot":"b1",`, estimate, time.Time{}},
		{"never known", bounded, `"boot":"b1","time_to":"2027-03-05T13:01:00.000Z",`, estimate, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := dating.NewDater(tt.board.run())
			for i, body := range []string{undatedReadings, undatedAlert, undatedEvent, undatedResult, undatedGap} {
				m := message(uint64(i+1), body)
				got := d.Date(m)
				want := once(strings.Replace(body, `"boot":"b1",`, tt.label, 1), tt.time)
				if string(got.Body) != want {
					t.Errorf("got\n%s\nwant\n%s", got.Body, want)
				}
				if !got.Created.Equal(tt.created) || got.ID != m.ID || got.Kind != m.Kind || got.ContentType != m.ContentType {
					t.Errorf("message %+v, want it created %v", got, tt.created)
				}
				if !json.Valid(got.Body) {
					t.Errorf("no JSON: %s", got.Body)
				}
			}
		})
	}
}

func TestOtherMessagesStayAsTheyAre(t *testing.T) {
	d := dating.NewDater(newBoard().run())
	for _, body := range []string{
		"", "{", `{"v":1,"readings":[{"time":"1900-01-01T00:00:01Z"}]}`, `{"v":1,"boot":"b1"}`, `{"v":1,"boot":"b1",`,
		`{"boot":"b1\",","time":"1900-01-01T00:00:01Z"}`, `{"v":1,"boot":"b1","readings":7}`, `{"v":1,"boot":"b1","readings":[7]}`,
	} {
		m := message(1, body)
		m.Created = truth
		if got := d.Date(m); string(got.Body) != body || !got.Created.Equal(truth) {
			t.Errorf("%s became %s, created %v", body, got.Body, got.Created)
		}
	}
}

// TestMessageInFlightStaysTheSame: a broker may have it already, although the time is
// known by now.
func TestMessageInFlightStaysTheSame(t *testing.T) {
	b := newBoard()
	d := dating.NewDater(b.run())
	shown := d.Show(message(2, undatedReadings))
	first := d.Date(message(1, undatedReadings))
	b.knows = true
	if again := d.Date(message(1, undatedReadings)); string(again.Body) != string(first.Body) {
		t.Errorf("sent again it is\n%s\nand was\n%s", again.Body, first.Body)
	}
	if next := d.Date(message(2, undatedReadings)); string(next.Body) == string(shown.Body) || strings.Contains(string(next.Body), "boot") {
		t.Errorf("one that was only shown is not dated: %s", next.Body)
	}
	for seq := range uint64(2000) { // what is remembered has an end
		b.knows = false
		d.Date(message(10+seq, undatedReadings))
	}
}

// FuzzDate: whatever is in a body, what was JSON is JSON, and grows by no more than
// what whoever packed it has left room for.
func FuzzDate(f *testing.F) {
	for _, body := range []string{
		undatedReadings, undatedAlert, undatedEvent, undatedResult, undatedGap, `{"boot":"b1","time":"1900-01-01T00:00:01.000Z","time":"1900-01-01T00:00:01.000Z"}`,
		`{"boot":"b1\",","time":"1900-01-01T00:00:01Z"}`, `{"v":1,"boot":"b1","alert":[{"readings":{"time":[]}}]}`, `{"v":1,"boot":"b1","t\u0069me":"1900-01-01T00:00:00.000Z"}`,
	} {
		f.Add([]byte(body), uint8(0))
	}
	known, bounded := newBoard(), newBoard()
	known.knows = true
	bounded.run()
	bounded.reboot("b2", time.Hour)
	bounded.knows = true
	daters := []*dating.Dater{dating.NewDater(known.run()), dating.NewDater(newBoard().run()), dating.NewDater(bounded.run())}
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		m := daters[int(n)%len(daters)].Show(message(1, string(body)))
		if json.Valid(body) && !json.Valid(m.Body) {
			t.Fatalf("%s became %s", body, m.Body)
		}
		times := strings.Count(string(body), "Z")
		if room := dating.LabelRoom + times*(dating.TimeRoom+len(".000Z")); len(m.Body) > len(body)+room {
			t.Fatalf("%d bytes became %d: %s", len(body), len(m.Body), m.Body)
		}
	})
}
