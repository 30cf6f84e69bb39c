package lines

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Actions implements gateway.Actuator: the texts of send, by their names. There
// is no way to send any other.
func (d *Dev) Actions() []gateway.Action {
	if len(d.config.Send) == 0 {
		return nil
	}
	return []gateway.Action{{
		Name: "send", Help: "Sends one of the texts of the config to the device.",
		Args: []gateway.Arg{{
			Name: "text", Type: gateway.ArgText, Required: true, OneOf: slices.Sorted(maps.Keys(d.config.Send)),
			Help: "Name of the text.",
		}},
	}}
}

// Do implements gateway.Actuator. Done means that the text is on its way; what
// the device makes of it shows in what it says.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	name, _ := cmd.Args["text"].(string)
	text, known := d.config.Send[name]
	switch {
	case cmd.Action != "send":
		return nil, fmt.Errorf("it cannot %s: %w", cmd.Action, gateway.ErrUnknown)
	case !known:
		return nil, fmt.Errorf("there is no text %q in send: %w", name, gateway.ErrInvalid)
	}
	port := d.port.Load()
	if port == nil {
		return nil, bus.ErrNotOpen
	}
	return nil, port.Write(ctx, []byte(text))
}
