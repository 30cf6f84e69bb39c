package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

// group does with several devices the same at once.
type group struct {
	*Set
	members []string
}

// Actions implements gateway.Actuator: what all members can do.
func (g *group) Actions() []gateway.Action { return common(g.members, g.actions) }

// Do implements gateway.Actuator. It is done if every member is. The values tell of
// each.
func (g *group) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	actions := g.Actions()
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == cmd.Action })
	if i < 0 {
		return nil, fmt.Errorf("the devices of the group cannot all %q now: %w", cmd.Action, gateway.ErrUnavailable)
	}
	end, err := g.end(cmd, actions[i].Timeout-courtesy)
	if err != nil {
		return nil, err
	}
	ctx, cancel := g.within(ctx, end)
	defer cancel()
	parts := make([]Part, len(g.members))
	var asked sync.WaitGroup
	for i, m := range g.members {
		one := g.command(cmd, strconv.Itoa(i+1), end)
		one.Device, one.Action, one.Args = gateway.DeviceID(m), cmd.Action, cmd.Args
		asked.Go(func() { parts[i] = g.ask(ctx, Part{}, one) })
	}
	asked.Wait()
	if err := g.interrupted(ctx); err != nil {
		return nil, err
	}
	return map[string]any{"devices": parts}, failureOf(parts)
}

// failureOf names the parts that are not done; nil if all are.
func failureOf(parts []Part) error {
	var failed []string
	for _, p := range parts {
		if !p.fine() {
			failed = append(failed, p.String())
		}
	}
	if failed == nil {
		return nil
	}
	return errors.New(strings.Join(failed, "; "))
}
