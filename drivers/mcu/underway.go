package mcu

import (
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// FirmwareUpdate implements gateway.Updater.
func (d *Dev) FirmwareUpdate() *gateway.FirmwareUpdate {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.updating == nil {
		return nil
	}
	f := *d.updating
	return &f
}

// beginUpdate notes that the firmware is being replaced, which endUpdate ends. What runs
// on trial is not what was there before.
func (d *Dev) beginUpdate(to link.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.updating = &gateway.FirmwareUpdate{To: to.String(), Phase: "beginning", Since: time.Now()}
	if d.plan != nil && (d.hello.Role == link.Loader || d.hello.Image == link.Confirmed) {
		d.updating.From = d.plan.Version.String()
	}
	d.wake()
}

func (d *Dev) endUpdate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.updating = nil
	d.wake()
}

// noteUpdate changes what is told of the update under way, if there is one.
func (d *Dev) noteUpdate(change func(*gateway.FirmwareUpdate)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.updating != nil {
		change(d.updating)
	}
}

// noteConfirmed notes what is true since the microcontroller has introduced itself.
func (d *Dev) noteConfirmed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hello.Image = link.Confirmed
}

func (d *Dev) isUpdating() bool { return d.FirmwareUpdate() != nil }
