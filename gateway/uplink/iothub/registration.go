package iothub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// The topics of the provisioning service.
//
// Source: Microsoft, "Communicate with DPS using the MQTT protocol".
const (
	dpsVersion  = "2019-03-31"
	dpsAnswers  = "$dps/registrations/res/"
	dpsRegister = "$dps/registrations/PUT/iotdps-register/"
	dpsStatus   = "$dps/registrations/GET/iotdps-get-operationstatus/"
)

const (
	// tokenForProvisioning is the life of a token for one registration.
	tokenForProvisioning = time.Hour
	// maxQuestions bounds one registration; two or three are the rule.
	maxQuestions = 30
)

// register asks the service once which hub this board belongs to. An error wraps
// uplink.ErrRefused if the service does not want this board.
func (p *provisioned) register(ctx context.Context) (a assignment, err error) {
	resource := p.scope + "/registrations/" + p.registration
	proof, err := p.credential.prove(resource, "registration", p.clock.Now().Add(tokenForProvisioning))
	if err != nil {
		return a, err
	}
	p.asked = proof.fingerprint()
	answers := make(chan mqtt.Inbound, maxQuestions)
	conn, err := p.line.dial(ctx, p.service, p.trust, proof, mqtt.Options{
		ClientID: p.registration, Username: resource + "/api-version=" + dpsVersion, CleanSession: true,
		OnMessage: func(_ context.Context, m mqtt.Inbound) {
			m.Ack()
			select {
			case answers <- m:
			default: // more than was asked for
			}
		},
	})
	if errors.Is(err, uplink.ErrRefused) {
		return a, fmt.Errorf("check id_scope, registration_id, that the enrolment is enabled, %s: %w", p.credential.hint(), err)
	}
	if err != nil {
		return a, err
	}
	defer hangUp(conn)
	if err := conn.Subscribe(ctx, dpsAnswers+"#"); err != nil {
		return a, err
	}
	return p.converse(ctx, conversation{conn: conn, answers: answers})
}

// hangUp ends a connection that has done its work.
func hangUp(c *mqtt.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

// converse registers and asks for the outcome until there is one.
func (p *provisioned) converse(ctx context.Context, c conversation) (assignment, error) {
	body, err := json.Marshal(map[string]string{"registrationId": p.registration})
	if err != nil {
		return assignment{}, err
	}
	topic, query := dpsRegister, ""
	for range maxQuestions {
		answer, err := c.ask(ctx, topic, query, body)
		if err != nil {
			return assignment{}, err
		}
		done, err := answer.outcome()
		if err != nil {
			return assignment{}, err
		}
		if done {
			if _, err := newIdentity(answer.hub(), answer.device(), p.port); err != nil {
				return assignment{}, fmt.Errorf("assigned to %w: %w", err, gateway.ErrInvalid)
			}
			return p.assignment(answer.hub(), answer.device(), p.asked), nil
		}
		if answer.Operation != "" {
			topic, query, body = dpsStatus, "&operationId="+answer.Operation, []byte(" ")
		}
		select {
		case <-time.After(answer.retryAfter):
		case <-ctx.Done():
			return assignment{}, context.Cause(ctx)
		}
	}
	return assignment{}, fmt.Errorf("no outcome after %d questions: %w", maxQuestions, gateway.ErrTimeout)
}

// conversation is a connection on which questions are asked one by one.
type conversation struct {
	conn    *mqtt.Conn
	answers <-chan mqtt.Inbound
	asked   int
}

// ask waits for the answer to one question.
func (c *conversation) ask(ctx context.Context, topic, query string, body []byte) (dpsAnswer, error) {
	c.asked++
	rid := strconv.Itoa(c.asked)
	if _, err := c.conn.Publish(topic+"?$rid="+rid+query, body, false); err != nil {
		return dpsAnswer{}, err
	}
	for {
		select {
		case m := <-c.answers:
			answer, err := parseDPSAnswer(m.Topic, m.Payload)
			if err != nil {
				return dpsAnswer{}, err
			}
			if answer.rid == rid {
				return answer, nil
			}
		case <-c.conn.Done():
			return dpsAnswer{}, c.conn.Err()
		case <-ctx.Done():
			return dpsAnswer{}, fmt.Errorf("no answer: %w", context.Cause(ctx))
		}
	}
}

// dpsAnswer is what the service says to a question.
type dpsAnswer struct {
	status     int
	rid        string
	retryAfter time.Duration

	Operation string `json:"operationId"`
	Status    string `json:"status"`
	Message   string `json:"message"` // of an error
	ErrorCode int    `json:"errorCode"`
	State     struct {
		Hub          string `json:"assignedHub"`
		Device       string `json:"deviceId"`
		ErrorMessage string `json:"errorMessage"`
	} `json:"registrationState"`
}

func (a dpsAnswer) hub() string    { return a.State.Hub }
func (a dpsAnswer) device() string { return a.State.Device }

const (
	maxDPSAnswer = 64 << 10
	// The bounds of what the service may make us wait, and what it is if it
	// does not say.
	minRetryAfter     = time.Second
	maxRetryAfter     = time.Minute
	defaultRetryAfter = 2 * time.Second
)

// parseDPSAnswer reads $dps/registrations/res/STATUS/?$rid=RID[&retry-after=N]
// and the JSON that comes with it. Errors wrap gateway.ErrInvalid.
func parseDPSAnswer(topic string, body []byte) (a dpsAnswer, err error) {
	rest, ok := strings.CutPrefix(topic, dpsAnswers)
	code, query, ok2 := strings.Cut(rest, "/?")
	if !ok || !ok2 {
		return a, fmt.Errorf("an answer on topic %.80q: %w", topic, gateway.ErrInvalid)
	}
	if len(body) > maxDPSAnswer {
		return a, fmt.Errorf("an answer of %d bytes: %w", len(body), gateway.ErrInvalid)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return dpsAnswer{}, fmt.Errorf("an answer with status %.10q that is not as expected: %w: %w", code, err, gateway.ErrInvalid)
	}
	if a.status, err = strconv.Atoi(code); err != nil || a.status < 100 || a.status > 999 {
		return dpsAnswer{}, fmt.Errorf("an answer with status %.10q: %w", code, gateway.ErrInvalid)
	}
	if !operationForm.MatchString(a.Operation) {
		return dpsAnswer{}, fmt.Errorf("an answer with operation %.80q: %w", a.Operation, gateway.ErrInvalid)
	}
	a.retryAfter = defaultRetryAfter
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "$rid":
			a.rid = value
		case "retry-after":
			if seconds, err := strconv.ParseUint(value, 10, 16); err == nil {
				a.retryAfter = min(max(time.Duration(seconds)*time.Second, minRetryAfter), maxRetryAfter)
			}
		}
	}
	return a, nil
}

// operationForm is what can be put into a topic as it is.
var operationForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{0,256}$`)

// outcome reports whether the board is assigned. An error is final.
func (a dpsAnswer) outcome() (done bool, err error) {
	switch {
	case a.status >= 429: // too many, or a fault of the service: later
		return false, nil
	case a.status >= 300:
		return false, fmt.Errorf("it answers %d (%d): %.200q: %w", a.status, a.ErrorCode, a.Message, uplink.ErrRefused)
	}
	switch a.Status {
	case "assigned":
		return true, nil
	case "assigning", "unassigned":
		return false, nil
	case "disabled":
		return false, fmt.Errorf("the enrolment is disabled: %w", uplink.ErrRefused)
	default:
		return false, fmt.Errorf("the registration is %.40q: %.200q; look at the enrolment: %w", a.Status, a.State.ErrorMessage, uplink.ErrRefused)
	}
}
