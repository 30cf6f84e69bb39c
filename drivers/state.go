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

// FirmwareUpdate implements gateway.Updater; of a device that has no firmware, or could
// not be made yet, there is none.
func (k *Keeper) FirmwareUpdate() *gateway.FirmwareUpdate {
	k.mu.Lock()
	updater := k.device.Updater
	k.mu.Unlock()
	if updater == nil {
		return nil
	}
	return updater.FirmwareUpdate()
}

func (k *Keeper) stateful() (gateway.Stateful, phase) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.device.Stateful, k.phase
}
