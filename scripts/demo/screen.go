package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"
)

// screen prints one line for each thing that happens.
type screen struct {
	mu   sync.Mutex
	sent map[string]sentCommand
}

type sentCommand struct {
	what string
	at   time.Time
}

type telemetry struct {
	Readings []struct {
		Device, Name, Unit string
		Value              any
	}
}

type result struct {
	Command, Status, Detail string
	Values                  map[string]any
}

func (s *screen) line(mark, format string, args ...any) {
	fmt.Printf("%s %s %s\n", time.Now().Format("15:04:05"), mark, fmt.Sprintf(format, args...))
}

func (s *screen) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line("!", "%s", text)
}

func (s *screen) command(id string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[id] = sentCommand{what: fmt.Sprintf("greenhouse relay on=%t", on), at: time.Now()}
	s.line("↓", "command  %s", s.sent[id].what)
}

func (s *screen) event(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Properties["kind"] {
	case "telemetry":
		s.telemetry(e)
	case "result":
		s.result(e)
	default:
		s.line("↑", "%-10s %s", e.Properties["kind"], e.Body)
	}
}

func (s *screen) telemetry(e event) {
	var t telemetry
	if err := json.Unmarshal(e.Body, &t); err != nil {
		s.line("!", "telemetry that cannot be read: %v", err)
		return
	}
	byDevice := make(map[string][]string)
	var order []string
	for _, r := range t.Readings {
		if byDevice[r.Device] == nil {
			order = append(order, r.Device)
		}
		byDevice[r.Device] = append(byDevice[r.Device], r.Name+" "+valueText(r.Value, r.Unit))
	}
	for _, device := range order {
		for i, row := range rows(byDevice[device]) {
			if i > 0 {
				device = ""
			}
			s.line("↑", "%-10s %s", device, row)
		}
	}
}

// rowWidth is how much of a terminal one row of values may take.
const rowWidth = 88

// rows joins values into rows of bounded width.
func rows(values []string) (list []string) {
	const between = " · "
	row := ""
	for _, v := range values {
		if row != "" && utf8.RuneCountInString(row+between+v) > rowWidth {
			list, row = append(list, row), ""
		}
		if row != "" {
			row += between
		}
		row += v
	}
	return append(list, row)
}

// units are what people write for the codes on the wire.
var units = map[string]string{"Cel": "°C", "%RH": "%", "By": "B"}

func valueText(v any, unit string) string {
	number, ok := v.(float64)
	if !ok {
		return fmt.Sprint(v)
	}
	text := fmt.Sprintf("%.4g", number)
	switch {
	case unit == "By" && number >= 1e10:
		text, unit = fmt.Sprintf("%.1f", number/1e9), "GB"
	case unit == "By" && number >= 1e6:
		text, unit = fmt.Sprintf("%.1f", number/1e6), "MB"
	case number >= 1000 || number == float64(int64(number)):
		text = fmt.Sprintf("%.0f", number)
	}
	if u, known := units[unit]; known {
		unit = u
	}
	return text + unit
}

func (s *screen) result(e event) {
	var r result
	if err := json.Unmarshal(e.Body, &r); err != nil {
		s.line("!", "result that cannot be read: %v", err)
		return
	}
	what, took := r.Command, ""
	if sent, known := s.sent[r.Command]; known {
		what = sent.what
		took = fmt.Sprintf(" after %d ms", time.Since(sent.at).Milliseconds())
		delete(s.sent, r.Command)
	}
	s.line("↑", "result   %s: %s%s %s", what, r.Status, took, r.Detail)
}
