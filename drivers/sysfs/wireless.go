package sysfs

import (
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

const wirelessFile = "proc/net/wireless"

// wireless is how well the radio of an interface hears its access point.
// Interfaces without a radio have no line there.
func (d *Dev) wireless(name string) ([]gateway.Reading, error) {
	text, ok, err := d.text(wirelessFile)
	if !ok {
		return nil, err
	}
	level, found, err := parseWireless(text, name)
	switch {
	case err != nil:
		return nil, d.located(err, wirelessFile)
	case !found:
		return nil, nil
	}
	return []gateway.Reading{number("network_signal."+suffix(name), level, "dBm")}, nil
}

// parseWireless finds the level of an interface in dBm, from -110 for nothing
// to about -20 beside the access point. Drivers without dBm give a value from 0
// on; that is of no use.
//
//	wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0
func parseWireless(text, name string) (level float64, found bool, err error) {
	for line := range strings.Lines(text) {
		head, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || head != name {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 3 {
			return 0, false, unclear(line, "status, quality and level")
		}
		n, err := strconv.ParseFloat(strings.TrimSuffix(fields[2], "."), 64)
		if err != nil || n < -256 || n > 256 {
			return 0, false, unclear(line, "a level from -256 to 256")
		}
		return n, n < 0 && n > -256, nil
	}
	return 0, false, nil
}
