package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lane names one ordered line of the queue, for example "telemetry".
type Lane string

// The lanes that fieldpost itself fills. Config may add others.
const (
	// LaneTelemetry carries readings.
	LaneTelemetry Lane = "telemetry"
	// LaneAlerts carries what must not wait behind telemetry.
	LaneAlerts Lane = "alerts"
	// LaneResults carries the results of commands.
	LaneResults Lane = "results"
	// LaneGaps carries gap records: the explanation of every missing sequence number.
	LaneGaps Lane = "gaps"
	// LaneDeadLetter keeps what can never be sent or understood. It stays on the board.
	LaneDeadLetter Lane = "deadletter"
)

const resultsSuffix = "_results"

// Results is the lane of the results of commands for devices whose readings go
// to lane l, if that is a child's: a device of the upstream behind this gateway.
func (l Lane) Results() Lane { return l + resultsSuffix }

// HoldsResults reports whether the lane is one of results of commands.
func (l Lane) HoldsResults() bool {
	return l == LaneResults || strings.HasSuffix(string(l), resultsSuffix)
}

// BuiltIn reports whether fieldpost itself fills the lane.
func (l Lane) BuiltIn() bool {
	switch l {
	case LaneTelemetry, LaneAlerts, LaneResults, LaneGaps, LaneDeadLetter:
		return true
	}
	return false
}

// Kind says what the body of a message is.
type Kind string

const (
	// KindTelemetry is a batch of readings.
	KindTelemetry Kind = "telemetry"
	// KindAlert is an alert that has begun or ended.
	KindAlert Kind = "alert"
	// KindEvent is an event.
	KindEvent Kind = "event"
	// KindResult is the final state of a command.
	KindResult Kind = "result"
	// KindGap is a gap record.
	KindGap Kind = "gap"
	// KindDeadLetter is a message or command that was set aside, with the reason.
	KindDeadLetter Kind = "deadletter"
)

// MessageID identifies an accepted message for ever. Within a store and lane
// the sequence numbers start at 1 and are contiguous.
type MessageID struct {
	Store string
	Lane  Lane
	Seq   uint64
}

// String gives the form <store>-<lane>-<seq>.
func (id MessageID) String() string {
	return id.Store + "-" + string(id.Lane) + "-" + strconv.FormatUint(id.Seq, 10)
}

// ParseMessageID reads the form that String writes.
func ParseMessageID(s string) (MessageID, error) {
	store, rest, ok1 := strings.Cut(s, "-")
	lane, digits, ok2 := strings.Cut(rest, "-")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if !ok1 || !ok2 || err != nil || store == "" || lane == "" || seq == 0 {
		return MessageID{}, fmt.Errorf("message id %.80q: want <store>-<lane>-<seq>: %w", s, ErrInvalid)
	}
	return MessageID{Store: store, Lane: Lane(lane), Seq: seq}, nil
}

// Message is all that the queue knows of what it carries.
type Message struct {
	// ID is given by the queue when it accepts the message; until then only its
	// Lane is set, by whoever made the message.
	ID   MessageID
	Kind Kind
	// Created is when the message was made, in UTC.
	Created time.Time
	// CorrelationID names the command that a result answers; empty otherwise.
	CorrelationID string
	// ContentType of the body, "application/json" as a rule; text is UTF-8.
	ContentType string
	Body        []byte
}

// ValidLane reports whether s can name a lane: a lower-case letter, then up
// to 30 lower-case letters, digits or underscores. A hyphen would make a
// message id ambiguous.
func ValidLane(s string) bool {
	if s == "" || len(s) > 31 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// Gap is the body of a KindGap message: it explains why the messages First to
// Last (both included) of a lane never arrive, or the readings of a device.
type Gap struct {
	// Boot names the run of the board, if Time is undated.
	Boot  string `json:"boot,omitempty"`
	Store string `json:"store,omitempty"`
	Lane  Lane   `json:"lane,omitempty"`
	// Device is set, and Store and Lane are not, if readings were lost before the
	// gateway had them. First and Last are then numbers of Reading.Seq.
	Device DeviceID  `json:"device,omitempty"`
	First  uint64    `json:"first"`
	Last   uint64    `json:"last"`
	Count  uint64    `json:"count"`
	Reason GapReason `json:"reason"`
	// Detail is the upstream's word on a rejected message.
	Detail string    `json:"detail,omitempty"`
	Time   time.Time `json:"time"`
}

// GapReason says why messages were lost.
type GapReason string

const (
	// GapOverflow is eviction by the lane's overflow policy.
	GapOverflow GapReason = "overflow"
	// GapExpired is the end of the lane's time to live.
	GapExpired GapReason = "expired"
	// GapRejected is a message that the upstream can never take.
	GapRejected GapReason = "rejected"
	// GapPurged is what somebody gave up by hand.
	GapPurged GapReason = "purged"
	// GapDamaged is data that the store could not read back.
	GapDamaged GapReason = "damaged"
	// GapLink is readings that a device has given up before they came over.
	GapLink GapReason = "link"
	// GapReset is the reset of a device: what it held is lost. First is the next number
	// before it, Last and Count are 0, since nobody knows how many there were, if any;
	// numbers begin at 1 again.
	GapReset GapReason = "reset"
)
