package scene

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// condition decides whether a step is taken.
type condition struct {
	expression *expression.Expression
	inputs     []input
}

// input is a quantity of a device, by the name that the expression has for it.
type input struct {
	name     string
	device   gateway.DeviceID
	quantity string
}

func newCondition(text string, devices []gateway.DeviceID) (*condition, error) {
	e, err := expression.Condition(text, nil)
	if err != nil {
		return nil, err
	}
	c := &condition{expression: e}
	for _, name := range e.Inputs {
		device, quantity, ok := latest.Split(name, func(id gateway.DeviceID) bool { return slices.Contains(devices, id) })
		if !ok {
			return nil, fmt.Errorf("there is no device %q for %s", device, name)
		}
		c.inputs = append(c.inputs, input{name, device, quantity})
	}
	return c, nil
}

// holds judges the condition by the outputs as they are and by the latest values. It
// fails if one of them is not known, bad, or older than maxAge.
func (c *condition) holds(o Options, maxAge time.Duration) (bool, error) {
	values := make(map[string]any, len(c.inputs))
	for _, in := range c.inputs {
		v, err := in.value(o, maxAge)
		if err != nil {
			return false, fmt.Errorf("%s %w", in.name, err)
		}
		values[in.name] = expression.Plain(v)
	}
	var machine expression.Machine
	result, err := c.expression.Run(&machine, values)
	if err != nil {
		return false, err
	}
	holds, ok := result.(bool)
	if !ok {
		return false, errors.New("the condition is neither true nor false")
	}
	return holds, nil
}

// value is that of an input now.
func (in input) value(o Options, maxAge time.Duration) (gateway.Value, error) {
	if v, is := o.Outputs(in.device)[in.quantity]; is {
		return v, nil
	}
	v, known := o.Latest.Get(in.device, in.quantity)
	switch age := time.Since(v.Came); {
	case !known:
		return v.Value, errors.New("is not known")
	case age > maxAge:
		return v.Value, fmt.Errorf("is %v old, want at most %v", age.Round(time.Second), maxAge)
	case v.Quality == gateway.Bad:
		return v.Value, errors.New("is bad")
	}
	return v.Value, nil
}
