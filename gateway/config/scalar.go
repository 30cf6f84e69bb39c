package config

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"

	"github.com/fieldpost/fieldpost/gateway"
)

// What can be wrong with a single value, beside not being what is wanted.
var (
	errShape  = errors.New("it is something else") // what is wanted says enough
	errLow    = errors.New("it is too little")
	errHigh   = errors.New("it is too much")
	errLarge  = errors.New("it is more than can be held")
	errQuotes = errors.New("it is text because of its quotes")
	errZero   = errors.New("a zero in front means octal to some and nothing to others")
)

var (
	wholeShape = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*|0x[0-9A-Fa-f]+|0o[0-7]+)$`)
	zeroShape  = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	realShape  = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// set converts the text of a single value to the type of v.
func set(v reflect.Value, n *node) error {
	switch v.Type() {
	case durationType:
		d, err := ParseDuration(n.text)
		v.SetInt(int64(d))
		return err
	case bytesType:
		b, err := parseBytes(n.text)
		v.SetInt(int64(b))
		return err
	case rateType:
		r, err := parseRate(n.text)
		v.SetInt(int64(r))
		return err
	case frequencyType:
		f, err := parseFrequency(n.text)
		v.SetInt(int64(f))
		return err
	case percentType:
		p, err := parsePercent(n.text)
		v.SetFloat(float64(p))
		return err
	case valueType:
		v.Set(reflect.ValueOf(anyValue(n)))
		return nil
	}
	if v.Kind() == reflect.String {
		v.SetString(n.text)
		return nil
	}
	if !n.plain && !n.foreign {
		return errQuotes
	}
	switch {
	case v.Kind() == reflect.Bool:
		if n.text != "true" && n.text != "false" {
			return errShape
		}
		v.SetBool(n.text == "true")
		return nil
	case v.CanFloat():
		return setReal(v, n.text)
	default:
		return setWhole(v, n.text)
	}
}

// anyValue is a number or a switch if it looks like one and has no quotes, else
// text.
func anyValue(n *node) gateway.Value {
	var on bool
	var x float64
	var whole int64
	bare := n.plain || n.foreign
	switch {
	case bare && set(reflect.ValueOf(&on).Elem(), n) == nil:
		return gateway.Bool(on)
	case bare && set(reflect.ValueOf(&x).Elem(), n) == nil:
		return gateway.Number(x)
	case bare && set(reflect.ValueOf(&whole).Elem(), n) == nil:
		return gateway.Number(float64(whole))
	default:
		return gateway.Text(n.text)
	}
}

func setReal(v reflect.Value, s string) error {
	if !realShape.MatchString(s) {
		return errShape
	}
	x, err := strconv.ParseFloat(s, v.Type().Bits())
	if err != nil {
		return errLarge
	}
	v.SetFloat(x)
	return nil
}

func setWhole(v reflect.Value, s string) error {
	switch {
	case zeroShape.MatchString(s):
		return errZero
	case !wholeShape.MatchString(s):
		return errShape
	case v.CanUint() && s[0] == '-':
		return errLow
	case v.CanUint():
		if s[0] == '+' {
			s = s[1:]
		}
		x, err := strconv.ParseUint(s, 0, v.Type().Bits())
		if err != nil {
			return errHigh
		}
		v.SetUint(x)
		return nil
	}
	x, err := strconv.ParseInt(s, 0, v.Type().Bits())
	switch {
	case err != nil && s[0] == '-':
		return errLow
	case err != nil:
		return errHigh
	}
	v.SetInt(x)
	return nil
}

// wholeLimits are the bounds of a type of whole numbers, empty if no sensible
// value is beyond.
func wholeLimits(t reflect.Type) (least, most string) {
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		half := int64(1) << (t.Bits() - 1)
		return strconv.FormatInt(-half, 10), strconv.FormatInt(half-1, 10)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return "0", strconv.FormatInt(int64(1)<<t.Bits()-1, 10)
	case reflect.Uint, reflect.Uint64:
		return "0", ""
	default:
		return "", ""
	}
}
