package nmea

import (
	"context"
	"errors"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/gateway"
)

// maxLine is the longest line. The standard says 82 bytes; receivers exceed it.
const maxLine = 256

// Config of a talker.
type Config struct {
	bus.PortConfig
	Every   time.Duration `yaml:"every" doc:"How often a fix, or the value of an instrument, is taken; a change of fix is taken at once." default:"10s" min:"100ms" max:"24h"`
	Talkers []string      `yaml:"talkers" doc:"Talkers that are listened to, by the two letters that their sentences begin with; if none is named, all are. Needed if two receivers share the line." default:"[]" pattern:"^[A-Z]{2}$" want:"two letters, such as GP, GN or II" example:"GN"`
	Init    []string      `yaml:"init" doc:"Texts that are sent once the port is open, with checksum and line end, such as \"$PMTK220,1000*1F\\r\\n\"." default:"[]"`
	Silence time.Duration `yaml:"silence" doc:"The receiver is reported when no sentence has come for so long; 0s for never." default:"30s" min:"0s" max:"1d"`
}

// Quantities are what a talker can tell, each only if it has what that takes.
func (Config) Quantities() map[string]gateway.Value {
	all := dialog.Quantities()
	all["fix"] = gateway.Text("")
	for _, name := range []string{
		"latitude", "longitude", "altitude", "speed", "course", "satellites", "hdop",
		"wind_angle", "wind_speed", "true_wind_angle", "true_wind_speed", "wind_direction", "depth", "water_temperature",
	} {
		all[name] = gateway.Number(0)
	}
	return all
}

// Dev is a talker.
type Dev struct {
	config Config
	buses  *bus.Set
	tell   func(time.Time)
}

// New returns a talker whose port is opened by Run.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses, tell: func(time.Time) {}}, nil
}

// KeepTime implements gateway.Timekeeper.
func (d *Dev) KeepTime(tell func(now time.Time)) { d.tell = tell }

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) (err error) {
	port, err := d.buses.Port(ctx, d.config.PortConfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	r := newReceiver(d.config, d.tell)
	return dialog.Run(ctx, port, dialog.Config{Init: d.config.Init, Silence: d.config.Silence, MaxLine: maxLine}, r.decode, sink)
}
