package probe

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
)

// SerialPort is a serial port that has hardware behind it.
type SerialPort struct {
	// Port is the best name: one that stays the same, if there is one.
	Port string `json:"port"`
	// Device is what the kernel calls it at the moment, such as /dev/ttyUSB0.
	Device string `json:"device"`
	// UsedBy says who has it.
	UsedBy string `json:"used_by,omitempty"`
	// Heard is what came when it was listened to.
	Heard *Heard `json:"heard,omitempty"`
	// Problem is why it could not be listened to.
	Problem string `json:"problem,omitempty"`
}

func (p *prober) findSerial(ctx context.Context) {
	p.report.Serial = []SerialPort{}
	ttys, _ := filepath.Glob(p.path("sys/class/tty/*")) // the pattern is right
	slices.SortFunc(ttys, byNumber)
	for _, dir := range ttys {
		if !isPort(dir) {
			continue
		}
		device := "/dev/" + filepath.Base(dir)
		p.addPort(cmp.Or(bus.StableName(p.Root, device), device), device)
	}
	for _, name := range p.Ports {
		if p.port(name) == nil {
			p.addPort(name, name)
		}
	}
	if p.Listen > 0 {
		p.listenAll(ctx)
	}
}

func (p *prober) addPort(name, device string) {
	port := SerialPort{Port: name, Device: device, UsedBy: p.portUser(device)}
	if port.UsedBy == "" {
		port.Problem = p.permission(device)
	}
	p.report.Serial = append(p.report.Serial, port)
}

// port finds a port by any of its names.
func (p *prober) port(name string) *SerialPort {
	for i := range p.report.Serial {
		if s := &p.report.Serial[i]; s.Port == name || s.Device == name || p.same(s.Device, name) {
			return s
		}
	}
	return nil
}

// isPort tells that there is hardware behind a tty: consoles and pseudo terminals
// have none, and ports that a PC only could have are of type 0.
func isPort(dir string) bool {
	if !attr.Exists(filepath.Join(dir, "device")) {
		return false
	}
	kind, err := attr.Text(filepath.Join(dir, "type"))
	return err != nil || kind != "0"
}

// portUser says who has a port; empty if it is free, as far as can be seen.
func (p *prober) portUser(device string) string {
	if by := p.claimed(device, bus.Whole); by != "" {
		return by
	}
	if consoles, _ := attr.Text(p.path("sys/class/tty/console/active")); slices.Contains(strings.Fields(consoles), filepath.Base(device)) {
		return "the console of the kernel; to free it: raspi-config, Interface Options, Serial Port, or take console= out of /boot/firmware/cmdline.txt"
	}
	if users := bus.PortUsers(p.path(device)); len(users) > 0 {
		return strings.Join(users, ", ")
	}
	return ""
}

// permission says what to do about a port that may not be used; empty if it may.
// It does not open it: that can reset what is attached.
func (p *prober) permission(device string) string {
	if err := unix.Access(p.path(device), unix.R_OK|unix.W_OK); !errors.Is(err, unix.EACCES) {
		return ""
	}
	return "you may not use it; join the group dialout (sudo usermod -aG dialout $USER, then log in again), or use sudo"
}
