package hubsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// maxMethodBytes bounds the payload of a direct method, and of its answer.
const maxMethodBytes = 128 << 10

const (
	methodRequests = "$iothub/methods/POST/"
	methodAnswers  = "$iothub/methods/res/"
)

var (
	errNotOnline  = errors.New("the device is not connected, or has not subscribed to methods")
	errUnanswered = errors.New("the device has not answered the method in time")
	errBadAnswer  = errors.New("the device has answered the method with something that is no JSON of up to 131072 bytes")
)

// method is a direct method as a back end calls it.
type method struct {
	Name    string          `json:"methodName"`
	Payload json.RawMessage `json:"payload"`
	// ResponseTimeout is how long the device may take, 5 s to 300 s.
	ResponseTimeout *int `json:"responseTimeoutInSeconds"`
	// ConnectTimeout is how long a device that is away may take to connect, 0
	// to 300 s.
	ConnectTimeout *int `json:"connectTimeoutInSeconds"`
}

// methodAnswer is what the device has answered. The status is its own.
type methodAnswer struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// readMethod reads a call and fills in defaults.
func readMethod(body []byte) (m method, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("the body is no call of a method: %w", err)
	}
	if !isMethodName(m.Name) {
		return m, fmt.Errorf("methodName %.140q: want 1 to 128 printable ASCII characters but space and $()<>@,;:\\\"/[]?={}+#", m.Name)
	}
	for _, t := range []struct {
		name        string
		value       **int
		least, none int
	}{
		{"responseTimeoutInSeconds", &m.ResponseTimeout, 5, 30},
		{"connectTimeoutInSeconds", &m.ConnectTimeout, 0, 0},
	} {
		if *t.value == nil {
			*t.value = &t.none
		}
		if n := **t.value; n < t.least || n > 300 {
			return m, fmt.Errorf("%s %d is not allowed, want %d to 300", t.name, n, t.least)
		}
	}
	// A device always gets JSON: SDKs stumble over an empty payload.
	if m.Payload, err = compactJSON(m.Payload); err == nil && len(m.Payload) > maxMethodBytes {
		err = fmt.Errorf("a payload of %d bytes, the limit is %d", len(m.Payload), maxMethodBytes)
	}
	return m, err
}

// isMethodName knows the alphabet that the documentation gives method names,
// but + and #, which cannot stand in a topic.
func isMethodName(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`$()<>@,;:\"/[]?={}+#`, c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// compactJSON checks one JSON value and takes out white space. Nothing at all
// becomes null.
func compactJSON(data []byte) ([]byte, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	err := json.Compact(&b, data)
	return b.Bytes(), err
}

func (m method) packet(rid string) packets.Packet {
	return toDevice(methodRequests+m.Name+"/?$rid="+rid, m.Payload)
}

// toDevice is a message of the hub that needs no PUBACK.
func toDevice(topic string, payload []byte) packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: payload}
}

// invoke calls a method of a device and waits for its answer. A connection
// that is lost meanwhile takes the request or the answer with it, which shows
// as a timeout.
func (h *Hub) invoke(ctx context.Context, id string, m method) (methodAnswer, error) {
	rid, answers := h.calls.begin(id)
	defer h.calls.end(id, rid)
	if err := h.state.awaitMethods(ctx, id, seconds(m.ConnectTimeout), m.packet(rid), h.faults.take(id, faultDropMethod).Kind == ""); err != nil {
		return methodAnswer{}, err
	}
	late := time.NewTimer(seconds(m.ResponseTimeout))
	defer late.Stop()
	select {
	case a := <-answers:
		return a.check()
	case <-late.C:
		return methodAnswer{}, errUnanswered
	case <-ctx.Done():
		return methodAnswer{}, ctx.Err()
	}
}

func seconds(n *int) time.Duration { return time.Duration(*n) * time.Second }

// check refuses what is no answer. A payload that is missing is null.
func (a methodAnswer) check() (_ methodAnswer, err error) {
	if a.Payload, err = compactJSON(a.Payload); err != nil || len(a.Payload) > maxMethodBytes {
		return a, errBadAnswer
	}
	return a, nil
}

// awaitMethods waits until the device can be called, and then sends it the
// request.
func (s *state) awaitMethods(ctx context.Context, id string, patience time.Duration, request packets.Packet, send bool) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		s.mu.Lock()
		d, ok := s.devices[id]
		if ok && d.conn != nil && d.conn.reads(methodRequests) {
			if send {
				d.conn.post(request)
			}
			s.mu.Unlock()
			return nil
		}
		news := s.news
		s.mu.Unlock()
		if !ok {
			return errNoDevice
		}
		if patience == 0 {
			return errNotOnline
		}
		select {
		case <-news:
		case <-late.C:
			return errNotOnline
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call names a method that waits for its answer.
type call struct{ device, rid string }

// calls are the methods that wait for an answer.
type calls struct {
	mu   sync.Mutex
	open map[call]chan methodAnswer
}

// begin opens a call. The request id is opaque to devices.
func (cs *calls) begin(device string) (rid string, answers <-chan methodAnswer) {
	rid = randomHex(8)
	c := make(chan methodAnswer, 1)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open == nil {
		cs.open = map[call]chan methodAnswer{}
	}
	cs.open[call{device, rid}] = c
	return rid, c
}

func (cs *calls) end(device, rid string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, call{device, rid})
}

// answer gives the first answer of a device to who waits, and reports whether
// somebody did.
func (cs *calls) answer(device, rid string, a methodAnswer) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c, ok := cs.open[call{device, rid}]
	if ok {
		delete(cs.open, call{device, rid})
		c <- a // has room for one
	}
	return ok
}

// answered takes the answer to a method from the device. The rest of the topic
// is STATUS/?$rid=RID. An error is what the hub closes the connection for.
func (c *conn) answered(rest string, body []byte) error {
	status, rid, err := parseMethodAnswer(rest)
	if err != nil {
		return err
	}
	if c.hub.faults.take(c.device, faultDropMethodAnswer).Kind != "" {
		return nil
	}
	if !c.hub.calls.answer(c.device, rid, methodAnswer{status, bytes.Clone(body)}) {
		c.log.Warn("an answer to a method that nobody waits for (any more)", "rid", rid, "status", status)
	}
	return nil
}

func parseMethodAnswer(rest string) (status int, rid string, err error) {
	number, query, ok := strings.Cut(rest, "/?")
	rid = queryValue(query, "$rid")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil || rid == "" {
		return 0, "", fmt.Errorf("topic %.120q: want %sSTATUS/?$rid=RID with a whole number as the status", methodAnswers+rest, methodAnswers)
	}
	return int(n), rid, nil
}
