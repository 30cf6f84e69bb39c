package bus

import (
	"errors"
	"reflect"
	"time"
)

// Change gives the Set other configs. Buses that are open and another one by them, or
// none any more, are closed; nobody may use these. The others stay as they are. The
// error names what was left behind.
func (s *Set) Change(configs map[string]any) error {
	others := s.change(configs)
	errs := closeAll(others)
	for name := range others {
		s.opts.Report(name, nil)
	}
	return errors.Join(errs...)
}

// closer is a bus that can be closed.
type closer interface {
	close(grace time.Duration) error
}

// change takes the buses out that do not stay.
func (s *Set) change(configs map[string]any) map[string]closer {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, others := s.configs(), make(map[string]closer)
	s.current.Store(&configs)
	takeOthers(s.i2c, before, configs, others)
	takeOthers(s.spi, before, configs, others)
	takeOthers(s.modbus, before, configs, others)
	return others
}

func takeOthers[B closer](open map[string]B, before, after map[string]any, others map[string]closer) {
	for name, bus := range open {
		if !stays(name, before, after) {
			others[name] = bus
			delete(open, name)
		}
	}
}

// Stays tells whether a bus stays as it is if the Set is given other configs.
func (s *Set) Stays(name string, configs map[string]any) bool {
	return stays(name, s.configs(), configs)
}

// stays compares all that hangs together: the channels of multiplexers share the bus of
// the board that they are on, and its turns.
func stays(name string, before, after map[string]any) bool {
	return reflect.DeepEqual(together(trunkOf(name, before), before), together(trunkOf(name, after), after))
}

// trunkOf is the bus of the board that a bus is, or hangs on.
func trunkOf(name string, configs map[string]any) string {
	for _, up := range above(name, configs) {
		name = up
	}
	return name
}

// together are a bus of the board and what hangs on it.
func together(trunk string, configs map[string]any) map[string]any {
	all := map[string]any{trunk: configIn(trunk, configs)}
	for name, config := range configs {
		if trunkOf(name, configs) == trunk {
			all[name] = config
		}
	}
	return all
}
