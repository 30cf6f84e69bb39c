package modbus

import (
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// exceptionBit marks the function of an answer that is an exception.
const exceptionBit = 0x80

// Exception is a unit's refusal (V1.1b3, section 7).
type Exception byte

// The exceptions that callers decide on.
const (
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	Busy            Exception = 6
)

var exceptions = map[Exception]string{
	IllegalFunction: "the unit does not know this function",
	IllegalAddress:  "the unit has no such address",
	IllegalValue:    "the unit does not take this value or number of registers",
	4:               "the unit has failed at it",
	5:               "the unit has begun and needs time",
	Busy:            "the unit is busy",
	8:               "the memory of the unit is damaged",
	10:              "the Modbus gateway in between is overloaded or set up wrongly",
	11:              "the unit does not answer the Modbus gateway in between",
}

func (e Exception) Error() string {
	text, known := exceptions[e]
	if !known {
		text = "the unit refuses"
	}
	return fmt.Sprintf("%s (exception %d)", text, byte(e))
}

// Is makes an exception the kind of error that callers of drivers decide on.
func (e Exception) Is(target error) bool {
	switch e {
	case IllegalFunction, IllegalAddress, IllegalValue:
		return target == gateway.ErrInvalid
	case 10, 11:
		return target == gateway.ErrUnavailable
	default:
		return false
	}
}
