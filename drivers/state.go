package drivers

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful. Nobody knows what the outputs of a device
// are that is not open.
func (k *Keeper) State() map[string]gateway.Value {
	stateful, phase := k.stateful()
	if stateful == nil || phase != open {
		return nil
	}
	return stateful.State()
}

// After implements gateway.Stateful; nothing is known of a device that could not
// be made yet.
func (k *Keeper) After(cmd gateway.Command) map[string]gateway.Value {
	stateful, _ := k.stateful()
	if stateful == nil {
		return nil
	}
	return stateful.After(cmd)
}

// AtRest implements gateway.Stateful; nothing is known of a device that could not
// be made yet.
func (k *Keeper) AtRest() map[string]gateway.Value {
	stateful, _ := k.stateful()
	if stateful == nil {
		return nil
	}
	return stateful.AtRest()
}

func (k *Keeper) stateful() (gateway.Stateful, phase) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.device.Stateful, k.phase
}
