//go:build board

package systemtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// boardParts is where `make board` puts what the boards boot.
const boardParts = "../../.cache/board"

// machine is one of the boards that QEMU emulates.
type machine struct {
	emulator string
	args     []string
	console  string // as the kernel calls it
	modules  []string
	// usb are the sockets at which a client plugs in a serial port, uart is that
	// of the Pi's own.
	usb  []string
	uart string
	// control is the socket of QEMU's machine protocol.
	control string
}

// virtual is QEMU's own board. Its I2C buses 1 and 2 end in what init plays. It has
// one core, as a Pi Zero has: with more, a kernel on a busy host joins edges of a
// line that come before the last one was taken, and so loses pulses.
func virtual(t *testing.T, dir string) machine {
	t.Helper()
	path, err := exec.LookPath("qemu-system-aarch64")
	if err != nil {
		t.Fatalf("%v; install qemu-system-arm", err)
	}
	m := machine{
		emulator: path,
		args: []string{
			"-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "512M", "-serial", "stdio",
			"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile=",
			"-device", "qemu-xhci",
		},
		console: "ttyAMA0",
		modules: []string{
			"configfs", "virtio_pci", "virtio_net", "xhci_pci", "ftdi_sio",
			"i2c_dev", "i2c_hil buses=2", "gpio_sim", "lm75", "bmp280_i2c", "ti_ads1015",
		},
	}
	for _, id := range []string{"usb0", "usb1"} {
		socket := filepath.Join(dir, id+".sock")
		m.args = append(m.args, "-chardev", "socket,server=on,wait=off,id="+id+",path="+socket, "-device", "usb-serial,chardev="+id)
		m.usb = append(m.usb, socket)
	}
	return m
}

// withoutBattery: the board's clock begins in 1970.
func (m machine) withoutBattery() machine {
	m.args = append(m.args, "-rtc", "base=1970-01-01")
	return m
}

// with gives the machine a disk.
func (m machine) with(d *disk) machine {
	m.args = append(m.args,
		"-drive", "if=none,id=disk0,driver=nbd,server.type=unix,cache.direct=on,server.path="+d.socket,
		"-device", "virtio-blk-pci,drive=disk0")
	m.modules = append(m.modules, "virtio_blk", "crc32c_generic", "ext4")
	return m
}

// raspberryPi is a Raspberry Pi 3 with its own peripherals and a thermometer on
// its I2C bus 1.
func raspberryPi(t *testing.T, dir string) machine {
	t.Helper()
	emulator := "../../.cache/qemu10/qemu"
	if _, err := os.Stat(emulator); err != nil {
		t.Fatalf("%v; `make board` makes it", err)
	}
	control, uart := filepath.Join(dir, "control.sock"), filepath.Join(dir, "uart.sock")
	return machine{
		emulator: emulator,
		args: []string{
			"-M", "raspi3b", "-m", "1G", "-smp", "4", "-dtb", filepath.Join(boardParts, "raspberrypi.dtb"),
			"-chardev", "socket,id=uart0,server=on,wait=off,path=" + uart, "-serial", "chardev:uart0", "-serial", "stdio",
			"-netdev", "user,id=net0", "-device", "usb-net,netdev=net0",
			"-qmp", "unix:" + control + ",server=on,wait=off",
			"-device", "tmp105,bus=i2c-bus.1,address=0x48,id=thermometer",
		},
		console: "ttyS1,115200",
		modules: []string{
			"configfs", "phy_generic", "dwc2", "cdc_ether", "rndis_host", "bcm2835_wdt", "bcm2835_thermal", "i2c_bcm2835", "lm75",
		},
		control: control, uart: uart,
	}
}
