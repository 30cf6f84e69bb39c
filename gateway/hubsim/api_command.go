package hubsim

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// postCommand queues a cloud-to-device message: the body, and headers named as
// in the HTTP API for devices. HTTP does not keep the case of header names, so
// the names of iothub-app-NAME arrive in lower case.
func (h *Hub) postCommand(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, err := h.state.view(id); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommandBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &httpError{status: http.StatusRequestEntityTooLarge, code: "MessageTooLarge", detail: "the body of a cloud-to-device message has 65,536 bytes at most"}
	}
	if err != nil {
		return err
	}
	c := &command{Device: id, ID: r.Header.Get("iothub-messageid"), Body: body}
	if c.Expiry, err = readExpiry(r.Header.Get("iothub-expiry")); err != nil {
		return err
	}
	bag, err := commandBag(c, r.Header)
	if err != nil {
		return err
	}
	c.Bag = encodeBag(bag)
	if err := h.checkQuota(id, len(body)); err != nil {
		return err
	}
	if err := h.state.send(c); err != nil {
		return err
	}
	h.log.Info("command queued", "device", id, "id", c.ID, "number", c.Number, "bytes", len(body))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func readExpiry(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 2 || t.Year() > 9999 {
		return time.Time{}, invalid("iothub-expiry %.60q: want a time such as 2026-03-01T12:00:00Z", s)
	}
	return t.UTC(), nil
}

// commandBag makes the property bag of a command of its headers.
func commandBag(c *command, header http.Header) (bag []property, err error) {
	if !messageIDForm.MatchString(c.ID) {
		return nil, invalid("iothub-messageid %.140q: want up to 128 letters, digits or -:.+%%_#*?!(),=@;$'", c.ID)
	}
	add := func(name, value string) {
		if value != "" {
			bag = append(bag, property{name, value})
		}
	}
	if !c.Expiry.IsZero() {
		add("$.exp", c.Expiry.Format("2006-01-02T15:04:05.0000000Z"))
	}
	add("$.mid", c.ID)
	add("$.cid", header.Get("iothub-correlationid"))
	add("$.uid", header.Get("iothub-userid"))
	add("$.to", "/devices/"+c.Device+"/messages/devicebound")
	add("$.ct", header.Get("iothub-contenttype"))
	add("$.ce", header.Get("iothub-contentencoding"))
	switch ack := header.Get("iothub-ack"); ack {
	case "", "none", "positive", "negative", "full":
		c.Ack = ack
		add("iothub-ack", ack)
	default:
		return nil, invalid("iothub-ack %.20q is not allowed, want none, positive, negative or full", ack)
	}
	return appendApplication(bag, header)
}

func appendApplication(bag []property, header http.Header) ([]property, error) {
	first := len(bag)
	for key, values := range header {
		name, ok := strings.CutPrefix(strings.ToLower(key), "iothub-app-")
		if !ok || name == "" {
			continue
		}
		if len(values) != 1 || !isToken(values[0]) {
			return nil, invalid("iothub-app-%s: want one value of ASCII letters, digits or !#$%%&'*+-.^_`|~", name)
		}
		bag = append(bag, property{name, values[0]})
	}
	slices.SortFunc(bag[first:], func(a, b property) int { return strings.Compare(a.name, b.name) })
	return bag, nil
}

// isToken reports whether s has only what application properties of commands
// may hold, by the documentation. Names are header names, which have the same
// alphabet.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}
