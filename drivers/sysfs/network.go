package sysfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

const netClass = "sys/class/net"

// counters are the files of an interface's statistics and the names of their
// readings; Documentation/ABI/testing/sysfs-class-net-statistics.
var counters = []struct{ file, name, unit string }{
	{"rx_bytes", "network_received", "By"},
	{"tx_bytes", "network_sent", "By"},
	{"rx_errors", "network_receive_errors", ""},
	{"tx_errors", "network_send_errors", ""},
	{"rx_dropped", "network_receive_drops", ""},
	{"tx_dropped", "network_send_drops", ""},
}

// networks watches the interfaces of the config, or all that are up.
func (d *Dev) networks() ([]gateway.Reading, error) {
	entries, err := os.ReadDir(d.path(netClass))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var there []string
	for _, e := range entries {
		if !e.Type().IsRegular() { // bonding_masters is a file
			there = append(there, e.Name())
		}
	}
	if len(d.config.Interfaces) == 0 {
		return d.allUp(there)
	}
	var all []gateway.Reading
	var errs []error
	for _, name := range d.config.Interfaces {
		if !slices.Contains(there, name) {
			all = append(all, state("network_up."+suffix(name), false))
			errs = append(errs, fmt.Errorf("there is no network interface %s; there are %s: %w", name, strings.Join(there, ", "), gateway.ErrUnavailable))
			continue
		}
		readings, _, err := d.network(name)
		all, errs = append(all, readings...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// allUp leaves out what is down, the loopback, and one end of each container's
// link, which comes and goes.
func (d *Dev) allUp(there []string) ([]gateway.Reading, error) {
	var all []gateway.Reading
	var errs []error
	taken := make(map[string]string)
	for _, name := range there {
		if name == "lo" || strings.HasPrefix(name, "veth") {
			continue
		}
		readings, up, err := d.network(name)
		errs = append(errs, err)
		if !up {
			continue
		}
		if other, twice := taken[suffix(name)]; twice {
			errs = append(errs, fmt.Errorf("the interfaces %s and %s would give readings of one name; name one of them in interfaces: %w", other, name, gateway.ErrInvalid))
			continue
		}
		taken[suffix(name)] = name
		all = append(all, readings...)
	}
	return all, errors.Join(errs...)
}

func (d *Dev) network(name string) (readings []gateway.Reading, up bool, err error) {
	up, err = d.link(name)
	if err != nil {
		return nil, false, err
	}
	readings = append(readings, state("network_up."+suffix(name), up))
	signal, err := d.wireless(name)
	readings = append(readings, signal...)
	errs := []error{err}
	for _, c := range counters {
		file := []string{netClass, name, "statistics", c.file}
		text, ok, err := d.text(file...)
		if !ok {
			errs = append(errs, err)
			continue
		}
		n, err := parseCount(text)
		if err != nil {
			errs = append(errs, d.located(err, file...))
			continue
		}
		readings = append(readings, number(c.name+"."+suffix(name), n, c.unit))
	}
	return readings, up, errors.Join(errs...)
}

// link tells whether an interface can carry anything. Tunnels and modems do
// not know their state; they have a carrier while they are connected. Of an
// interface that is down the carrier cannot be read (EINVAL).
func (d *Dev) link(name string) (bool, error) {
	text, ok, err := d.text(netClass, name, "operstate")
	switch {
	case !ok:
		return false, err
	case text != "unknown":
		return text == "up", nil
	}
	carrier, err := os.ReadFile(d.path(netClass, name, "carrier"))
	return err == nil && strings.TrimSpace(string(carrier)) == "1", nil
}
