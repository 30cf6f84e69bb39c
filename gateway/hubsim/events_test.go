package hubsim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func (r *rig) fill(n int) {
	r.t.Helper()
	for i := range n {
		e := &event{device: fmt.Sprint("d", i%2+1), body: fmt.Append(nil, i+1)}
		if err := r.accept(e); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestEventsByPage(t *testing.T) {
	r := startRig(t)
	if list := r.events(""); len(list) != 0 {
		t.Errorf("events of nothing: %+v", list)
	}
	const n = 2*indexEvery + 10
	r.fill(n)
	for _, page := range []int{1, 7, indexEvery, 1000} {
		after, count := int64(0), 0
		for {
			list := r.events(fmt.Sprintf("after=%d&limit=%d", after, page))
			for _, e := range list {
				if after++; e.Offset != after || string(e.Body) != fmt.Sprintf("%q", fmt.Sprint(after)) {
					t.Fatalf("page of %d: got %+v, want offset %d", page, e, after)
				}
			}
			if count += len(list); len(list) < page {
				break
			}
		}
		if count != n {
			t.Errorf("pages of %d: %d events, want %d", page, count, n)
		}
	}
	list := r.events("device=d2&after=5&limit=3")
	if len(list) != 3 || list[0].Offset != 6 || list[2].Offset != 10 || list[0].Device != "d2" {
		t.Errorf("of one device: %+v", list)
	}
	if list := r.events("after=-2"); len(list) != 2 || list[1].Offset != n {
		t.Errorf("the last two: %+v", list)
	}
	if list := r.events("after=1000000"); len(list) != 0 {
		t.Errorf("after the end: %+v", list)
	}
	for _, query := range []string{"limit=0", "limit=100001", "limit=x", "after=x", "after=1.5"} {
		if status, _ := r.call("GET", "/hubsim/events?"+query, ""); status != 400 {
			t.Errorf("%s: %d, want 400", query, status)
		}
	}
}

// stream reads server-sent events.
type stream struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

func (r *rig) stream(t *testing.T, query string, header ...string) *stream {
	t.Helper()
	resp := r.request("GET", "/hubsim/events?"+query, "", append(header, "Accept", "text/event-stream")...)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("content type %s", got)
	}
	s := &stream{t: t, resp: resp, lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, maxLine)
	return s
}

// next returns the id of the next event and its data.
func (s *stream) next() (id string, e received) {
	s.t.Helper()
	for s.lines.Scan() {
		text := s.lines.Text()
		if rest, ok := strings.CutPrefix(text, "id: "); ok {
			id = rest
		}
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				s.t.Fatal(err)
			}
		}
		if text == "" {
			return id, e
		}
	}
	s.t.Fatalf("the stream has ended: %v", s.lines.Err())
	return "", e
}

func TestEventStream(t *testing.T) {
	r := startRig(t)
	r.fill(3)
	s := r.stream(t, "")
	for want := 1; want <= 5; want++ {
		if want == 4 {
			r.fill(2) // while it waits
		}
		if id, e := s.next(); id != fmt.Sprint(want) || e.Offset != int64(want) {
			t.Errorf("id %s, offset %d, want %d", id, e.Offset, want)
		}
	}
	if id, _ := r.stream(t, "after=1", "Last-Event-ID", "3").next(); id != "4" {
		t.Errorf("resumed at %s, want 4", id)
	}
	only := r.stream(t, "device=d2&after=-1")         // message 5 is of d2
	stale := r.stream(t, "", "Last-Event-ID", "1000") // of a record that was removed
	r.fill(4)                                         // d1, d2, d1, d2
	if id, _ := stale.next(); id != "6" {
		t.Errorf("a reader of another record got %s, want 6", id)
	}
	for _, want := range []string{"5", "7", "9"} {
		if id, e := only.next(); id != want || e.Device != "d2" {
			t.Errorf("stream of d2: offset %s of %s, want %s", id, e.Device, want)
		}
	}
}

// Somebody who opens a stream and does not read holds nobody up.
func TestSlowReader(t *testing.T) {
	r := startRig(t)
	s := r.stream(t, "")
	p := r.connect("d1", nil)
	body := strings.Repeat("x", 200_000)
	for range 60 { // more than sockets hold
		p.send("", body)
	}
	r.stream(t, "after=59").next()
	if id, _ := s.next(); id != "1" {
		t.Errorf("the slow reader got %s first", id)
	}
}
