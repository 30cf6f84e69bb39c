package mcu

import (
	"fmt"
	"strconv"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// sent is an argument as the link carries it. What was checked against argOf fits.
func sent(f link.Field, v any) (link.Value, error) {
	switch x := v.(type) {
	case bool:
		if f.Kind == link.Bool {
			return link.BoolValue(x), nil
		}
	case float64:
		switch f.Kind {
		case link.Int:
			return link.IntValue(int32(x)), nil
		case link.Float:
			return link.FloatValue(float32(x)), nil
		}
	case string:
		if f.Kind == link.Text {
			return link.TextValue(x), nil
		}
	}
	return link.Value{}, fmt.Errorf("%s: %v is no %v: %w", f.Name, v, f.Kind, gateway.ErrInvalid)
}

// arguments are those of an action, in the order of the descriptor, up to the last
// one that was given.
func arguments(a link.Action, args map[string]any) ([]link.Value, error) {
	var values []link.Value
	for i, arg := range a.Args {
		v, given := args[arg.Name]
		if !given {
			continue
		}
		value, err := sent(arg.Field, v)
		if err != nil {
			return nil, err
		}
		for len(values) < i {
			values = append(values, link.Value{})
		}
		values = append(values, value)
	}
	return values, nil
}

// received is a value as the gateway has it; false if there is none.
func received(v link.Value) (gateway.Value, bool) {
	switch v.Kind {
	case link.Bool:
		return gateway.Bool(v.Bool), true
	case link.Int:
		return gateway.Number(float64(v.Int)), true
	case link.Float:
		return gateway.Number(number(v)), true
	case link.Text:
		return gateway.Text(v.Text), true
	default:
		return gateway.Value{}, false
	}
}

// nothing stands for a value that could not be measured.
func nothing(kind link.Kind) gateway.Value {
	switch kind {
	case link.Bool:
		return gateway.Bool(false)
	case link.Text:
		return gateway.Text("")
	default:
		return gateway.Number(0)
	}
}

// reported is a value as a result of a command has it; nil if there is none.
func reported(v link.Value) any {
	switch v.Kind {
	case link.Bool:
		return v.Bool
	case link.Int:
		return float64(v.Int)
	case link.Float:
		return number(v)
	case link.Text:
		return v.Text
	default:
		return nil
	}
}

// qualities are those of the link as the gateway names them.
var qualities = map[link.Quality]gateway.Quality{
	link.Good: gateway.Good, link.Uncertain: gateway.Uncertain, link.Bad: gateway.Bad,
}

// number is a float of 32 bits as people write it: 21.3, not 21.299999237060547.
func number(v link.Value) float64 {
	x, err := strconv.ParseFloat(v.String(), 64)
	if err != nil {
		return float64(v.Float)
	}
	return x
}
