package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// linkSerialPorts gives the adapter that is plugged in the name that stays the
// same, as udev does: ttyUSB0 comes back as ttyUSB1 while somebody has it open.
func linkSerialPorts() {
	_ = os.MkdirAll(filepath.Dir(board.SerialPort), 0o755)
	linked := ""
	for {
		target := ""
		if ports, err := filepath.Glob("/sys/bus/usb-serial/devices/ttyUSB*"); err == nil && len(ports) > 0 {
			target = filepath.Join("/dev", filepath.Base(ports[0]))
		}
		if target != linked {
			_ = os.Remove(board.SerialPort)
			if target != "" {
				_ = os.Symlink(target, board.SerialPort)
			}
			linked = target
		}
		time.Sleep(50 * time.Millisecond)
	}
}
