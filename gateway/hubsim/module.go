package hubsim

import (
	"errors"
	"strings"
)

// A module is a part of a device that has an identity, a connection and a twin
// of its own. The hub keeps it like a device whose id is DEVICE/MODULE, which
// no device can have. Commands are for devices alone.

// maxModules is how many modules a device may have.
const maxModules = 50

var errModules = errors.New("the device has 50 modules, which is the limit")

// resource is the path of a device or module in tokens and topics.
func resource(id string) string {
	device, module, ok := strings.Cut(id, "/")
	if !ok {
		return "devices/" + id
	}
	return "devices/" + device + "/modules/" + module
}

// isModule reports whether id is that of a module.
func isModule(id string) bool { return strings.Contains(id, "/") }

// checkParent checks that a new module has a device with room for it. The
// mutex is held.
func (s *state) checkParent(id string) error {
	device, _, module := strings.Cut(id, "/")
	if !module {
		return nil
	}
	if s.devices[device] == nil {
		return errNoDevice
	}
	if len(s.modulesOf(device)) >= maxModules {
		return errModules
	}
	return nil
}

// modulesOf lists the modules of a device. The mutex is held.
func (s *state) modulesOf(device string) (list []*device) {
	for _, d := range s.sorted() {
		if strings.HasPrefix(d.ID, device+"/") {
			list = append(list, d)
		}
	}
	return list
}

// modules lists the modules of a device by id.
func (s *state) modules(device string) ([]view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.devices[device] == nil {
		return nil, errNoDevice
	}
	list := []view{}
	for _, d := range s.modulesOf(device) {
		list = append(list, d.view())
	}
	return list, nil
}
