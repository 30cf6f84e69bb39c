package policy

import (
	"maps"

	"github.com/fieldpost/fieldpost/gateway"
)

// state is what is known of the outputs of a device, by name.
type state = map[string]gateway.Value

// outputs names the outputs of a device: those of which some action makes
// something.
func outputs(s gateway.Stateful, actions []gateway.Action) map[string]bool {
	names := make(map[string]bool)
	for name := range s.AtRest() {
		names[name] = true
	}
	for _, action := range actions {
		for _, args := range samples(action) {
			for name := range s.After(gateway.Command{Action: action.Name, Args: args}) {
				names[name] = true
			}
		}
	}
	return names
}

// samples are arguments for an action, among them each text that it may be given.
func samples(action gateway.Action) []map[string]any {
	least := make(map[string]any)
	for _, arg := range action.Args {
		least[arg.Name] = sample(arg)
	}
	all := []map[string]any{least}
	for _, arg := range action.Args {
		for _, text := range arg.OneOf {
			args := maps.Clone(least)
			args[arg.Name] = text
			all = append(all, args)
		}
	}
	return all
}

func sample(arg gateway.Arg) any {
	switch {
	case arg.Type == gateway.ArgBool:
		return true
	case arg.Type == gateway.ArgText:
		return ""
	case arg.Min != nil:
		return *arg.Min
	case arg.Max != nil:
		return *arg.Max
	default:
		return 0.0
	}
}

// rests tells whether outputs are as the safe state sets them. What is not known
// does not rest.
func rests(now, rest state) bool {
	for name, want := range rest {
		if got, known := now[name]; !known || got != want {
			return false
		}
	}
	return true
}
