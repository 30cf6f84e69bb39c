// Package drivers is the table of drivers: one line each, no registry.
//
// A driver is a package below this one with a Config, whose fields carry the
// tags of package config, and a New that makes a device of it. Which contracts
// of package gateway the device fulfils follows from its methods.
//
// A [Keeper] stands before each device of the config: it finds it, loses it and
// finds it again, so that nobody above has to know whether it is there.
package drivers

import (
	"slices"

	"github.com/fieldpost/fieldpost/drivers/ads1115"
	"github.com/fieldpost/fieldpost/drivers/aht20"
	"github.com/fieldpost/fieldpost/drivers/bh1750"
	"github.com/fieldpost/fieldpost/drivers/bme280"
	"github.com/fieldpost/fieldpost/drivers/ds18b20"
	gpioinput "github.com/fieldpost/fieldpost/drivers/gpio-input"
	"github.com/fieldpost/fieldpost/drivers/hwmon"
	"github.com/fieldpost/fieldpost/drivers/hx711"
	i2cregister "github.com/fieldpost/fieldpost/drivers/i2c-register"
	"github.com/fieldpost/fieldpost/drivers/iio"
	"github.com/fieldpost/fieldpost/drivers/ina219"
	"github.com/fieldpost/fieldpost/drivers/ingest"
	jsonlines "github.com/fieldpost/fieldpost/drivers/json-lines"
	"github.com/fieldpost/fieldpost/drivers/lines"
	"github.com/fieldpost/fieldpost/drivers/mcp23017"
	"github.com/fieldpost/fieldpost/drivers/mcp3008"
	"github.com/fieldpost/fieldpost/drivers/mcp9808"
	"github.com/fieldpost/fieldpost/drivers/mcu"
	"github.com/fieldpost/fieldpost/drivers/modbus"
	"github.com/fieldpost/fieldpost/drivers/nmea"
	"github.com/fieldpost/fieldpost/drivers/pca9685"
	"github.com/fieldpost/fieldpost/drivers/pwm"
	"github.com/fieldpost/fieldpost/drivers/relay"
	"github.com/fieldpost/fieldpost/drivers/scd4x"
	"github.com/fieldpost/fieldpost/drivers/sht3x"
	"github.com/fieldpost/fieldpost/drivers/sht4x"
	"github.com/fieldpost/fieldpost/drivers/sim"
	"github.com/fieldpost/fieldpost/drivers/sysfs"
	"github.com/fieldpost/fieldpost/drivers/tmp102"
)

// table has the drivers in the order of their names.
var table = []Driver{
	wired("ads1115", ads1115.New),
	wired("aht20", aht20.New),
	wired("bh1750", bh1750.New),
	wired("bme280", bme280.New),
	entry("ds18b20", ds18b20.New),
	wired("gpio-input", gpioinput.New),
	entry("hwmon", hwmon.New),
	wired("hx711", hx711.New),
	wired("i2c-register", i2cregister.New),
	entry("iio", iio.New),
	wired("ina219", ina219.New),
	entry("ingest", ingest.New),
	wired("json-lines", jsonlines.New),
	wired("lines", lines.New),
	wired("mcp23017", mcp23017.New),
	wired("mcp3008", mcp3008.New),
	wired("mcp9808", mcp9808.New),
	wired("mcu", mcu.New),
	wired("modbus", modbus.New),
	wired("nmea", nmea.New),
	wired("pca9685", pca9685.New),
	entry("pwm", pwm.New),
	wired("relay", relay.New),
	wired("scd4x", scd4x.New),
	wired("sht3x", sht3x.New),
	wired("sht4x", sht4x.New),
	entry("sim", sim.New),
	entry("sysfs", sysfs.New),
	wired("tmp102", tmp102.New),
}

// List returns the drivers in the order of their names.
func List() []Driver { return slices.Clone(table) }

// Lookup finds a driver by its name.
func Lookup(name string) (Driver, bool) {
	i := slices.IndexFunc(table, func(d Driver) bool { return d.Name == name })
	if i < 0 {
		return Driver{}, false
	}
	return table[i], true
}
