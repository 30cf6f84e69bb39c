package hubsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const (
	twinRequests = "$iothub/twin/"
	twinGet      = "GET/?"
	twinReport   = "PATCH/properties/reported/?"
	twinAnswers  = "$iothub/twin/res/"
	twinDesired  = "$iothub/twin/PATCH/properties/desired/"
)

// twinRequest is what a device asks of its twin.
type twinRequest struct {
	rid    string
	report bool // reported properties, in the body
	// version is that of the reported properties which must be there; -1 is
	// any.
	version int64
}

// parseTwinRequest reads the topic of a request, without $iothub/twin/. An
// error is what the hub closes the connection for.
func parseTwinRequest(topic string) (q twinRequest, err error) {
	query, get := strings.CutPrefix(topic, twinGet)
	if !get {
		query, q.report = strings.CutPrefix(topic, twinReport)
	}
	q.rid = queryValue(query, "$rid")
	if !get && !q.report || q.rid == "" {
		return q, fmt.Errorf("topic %.120q: want %s%s$rid=RID or %s%s$rid=RID", twinRequests+topic, twinRequests, twinGet, twinRequests, twinReport)
	}
	q.version = -1
	if version := queryValue(query, "$version"); q.report && version != "" {
		if q.version, err = strconv.ParseInt(version, 10, 64); err != nil || q.version < 0 {
			return q, fmt.Errorf("topic %.120q: $version %.20q is no version", twinRequests+topic, version)
		}
	}
	return q, nil
}

// askTwin answers a request of the device.
func (c *conn) askTwin(topic string, body []byte) error {
	q, err := parseTwinRequest(topic)
	if err != nil {
		return err
	}
	switch {
	case c.apiVersion == "":
		err = invalid("the user name has no api-version, so there are no twins")
	case c.hub.faults.take(c.device, faultThrottleTwin).Kind != "":
		err = &httpError{status: http.StatusTooManyRequests, code: "ThrottlingException", detail: "fault injected: too many requests"}
	case q.report:
		err = c.report(q, body)
	default:
		err = c.hub.state.readTwin(c, q.rid)
	}
	if err != nil {
		c.log.Warn("twin request refused: "+err.Error(), "rid", q.rid)
		c.refuseTwin(q.rid, asHTTP(err))
	}
	return nil
}

// readTwin sends the twin to its device. It keeps the order with the desired
// properties that are sent: a device never gets an older twin after them.
func (s *state) readTwin(c *conn, rid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[c.device]
	if !ok {
		return errNoDevice
	}
	body, err := json.Marshal(d.twin.forDevice())
	if err == nil {
		c.answer(http.StatusOK, rid, body)
	}
	return err
}

// report merges the body into the reported properties.
func (c *conn) report(q twinRequest, body []byte) error {
	patch, err := parseDocument(body)
	if err != nil {
		return invalid("reported properties: %v", err)
	}
	v, err := c.hub.state.changeTwin(twinChange{Device: c.device, Reported: patch}, func(t *twin) bool {
		return q.version < 0 || q.version == t.Reported.Version
	})
	if err != nil {
		return err
	}
	c.hub.state.mu.Lock()
	defer c.hub.state.mu.Unlock()
	c.answer(http.StatusNoContent, q.rid+"&$version="+strconv.FormatInt(v.twin.Reported.Version, 10), nil)
	return nil
}

// refuseTwin answers a request with an error. SDKs look for the errorCode in
// the body, not for the status.
func (c *conn) refuseTwin(rid string, e *httpError) {
	body, _ := json.Marshal(e.numbered()) // cannot fail
	c.hub.state.mu.Lock()
	defer c.hub.state.mu.Unlock()
	c.answer(e.status, rid, body)
}

// answer posts the answer to a twin request. The mutex of state is held.
func (c *conn) answer(status int, query string, body []byte) {
	if !c.reads(twinAnswers) {
		c.log.Warn("nobody has subscribed to the answer", "filter", twinAnswers+"#")
		return
	}
	c.post(toDevice(fmt.Sprintf("%s%d/?$rid=%s", twinAnswers, status, query), body))
}

// postDesired tells the device of its desired properties: what a back end has
// sent, with their version. The mutex of state is held.
func (c *conn) postDesired(patch document, version int64) {
	if !c.reads(twinDesired) {
		return
	}
	if f := c.hub.faults.take(c.device, faultDropDesired); f.Kind != "" {
		c.log.Warn("fault injected", "kind", f.Kind, "version", version)
		return
	}
	body, _ := json.Marshal(section{Values: patch, Version: version}.withVersion()) // of JSON, cannot fail
	c.post(toDevice(twinDesired+"?$version="+strconv.FormatInt(version, 10), body))
}
