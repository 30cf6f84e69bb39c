package link

import "fmt"

// Type says what a frame is. An answer has the type of its request plus 0x80.
type Type uint8

// The types of frames.
const (
	TypeHello    Type = 0x01
	TypePing     Type = 0x02
	TypeDescribe Type = 0x03
	TypeDo       Type = 0x04
	TypeGet      Type = 0x05
	TypeSet      Type = 0x06
	TypeLoader   Type = 0x07
	TypeBegin    Type = 0x10
	TypeCheck    Type = 0x11
	TypeData     Type = 0x12
	TypeFinish   Type = 0x13
	TypeRun      Type = 0x14
	TypeConfirm  Type = 0x15
	TypeAck      Type = 0x60
	TypeReadings Type = 0xE0
	TypeLog      Type = 0xE1

	answer Type = 0x80
)

var typeNames = map[Type]string{
	TypeHello: "HELLO", TypePing: "PING", TypeDescribe: "DESCRIBE", TypeDo: "DO", TypeGet: "GET",
	TypeSet: "SET", TypeLoader: "LOADER", TypeBegin: "BEGIN", TypeCheck: "CHECK", TypeData: "DATA",
	TypeFinish: "FINISH", TypeRun: "RUN", TypeConfirm: "CONFIRM", TypeAck: "ACK",
	TypeReadings: "READINGS", TypeLog: "LOG",
}

// Answer is the type of the answer to a request of type t.
func (t Type) Answer() Type { return t | answer }

func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	if name, ok := typeNames[t&^answer]; ok {
		return "answer to " + name
	}
	return fmt.Sprintf("type %02x", uint8(t))
}

// Status is how a request ended.
type Status uint8

// What an answer begins with.
const (
	OK Status = iota
	Unsupported
	Invalid
	Unknown
	Busy
	Failed
	State
	Stale
	Denied
	Target
	Size
	Hash
)

var statusTexts = [...]string{
	OK: "done", Unsupported: "it does not know this request", Invalid: "malformed, or outside of its range",
	Unknown: "it has no such action or setting", Busy: "it is busy, and did nothing", Failed: "it tried without success",
	State: "not in this state", Stale: "older than its last action, so it did nothing", Denied: "a rule of its own forbids it",
	Target: "the image is for other hardware", Size: "the image does not fit", Hash: "what was written is not the image",
}

func (s Status) String() string {
	if int(s) < len(statusTexts) {
		return statusTexts[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}
