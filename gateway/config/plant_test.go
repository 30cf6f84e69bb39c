package config_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// plant is a config with a field of each kind.
type plant struct {
	Gateway struct {
		ID  string `yaml:"id" required:"true" pattern:"^[a-z][a-z0-9-]*$" want:"small letters, digits and hyphens" doc:"Its name." example:"greenhouse-7"`
		Log string `yaml:"log" default:"info" oneof:"debug|info|warn|error" doc:"What is logged."`
	} `yaml:"gateway" doc:"The gateway."`
	Queue   queue             `yaml:"queue" doc:"The queue."`
	Values  values            `yaml:"values" doc:"One of each."`
	Devices []config.Section  `yaml:"devices" required:"true" variants:"devices" doc:"The devices."`
	Free    config.Section    `yaml:"free" doc:"Anything."`
	Labels  map[string]string `yaml:"labels" doc:"Labels by name."`
	_       int
}

type queue struct {
	MaxBytes config.Bytes    `yaml:"max_bytes" default:"512MB" min:"32MiB" doc:"Its bound."`
	MaxAge   time.Duration   `yaml:"max_age" default:"1s" min:"10ms" max:"1h"`
	Lanes    map[string]lane `yaml:"lanes" doc:"By name."`
}

func (q *queue) Validate() error {
	var errs []error
	for name, l := range q.Lanes {
		if strings.ToLower(name) != name {
			errs = append(errs, &gateway.FieldError{Field: "lanes." + name, Problem: "want small letters"})
		}
		if l.MaxBytes > q.MaxBytes {
			errs = append(errs, &gateway.FieldError{Field: "lanes." + name + ".max_bytes", Problem: "want at most queue.max_bytes"})
		}
	}
	return errors.Join(errs...)
}

type lane struct {
	Overflow string        `yaml:"overflow" oneof:"drop-oldest|block" default:"block"`
	MaxBytes config.Bytes  `yaml:"max_bytes" min:"8MiB"`
	TTL      time.Duration `yaml:"ttl" default:"30d" min:"1m"`
}

type values struct {
	Switch   bool                     `yaml:"switch" default:"true"`
	Whole    int                      `yaml:"whole" default:"-7" min:"-10" max:"100000"`
	Address  uint8                    `yaml:"address" default:"0x76"`
	Ratio    float64                  `yaml:"ratio" default:"0.5" min:"0" max:"1"`
	Offset   *float64                 `yaml:"offset"`
	Text     string                   `yaml:"text" default:"off"`
	Password config.Secret            `yaml:"password" doc:"Not shown."`
	Names    []string                 `yaml:"names" default:"[a, 07, \"b c\"]" pattern:"^[a-z0-9 /]*$" want:"small letters and digits"`
	Waits    []time.Duration          `yaml:"waits" default:"[1s, 1h30m]" max:"2h"`
	Levels   map[string]int           `yaml:"levels" default:"{low: 1, high: 0x10}" min:"0"`
	Points   []point                  `yaml:"points"`
	Days     []string                 `yaml:"days" lone:"true" oneof:"mon|tue|wed"`
	Args     map[string]gateway.Value `yaml:"args"`
	Skipped  string                   `yaml:"-"`
}

type point struct {
	X int `yaml:"x" required:"true"`
	Y int `yaml:"y"`
}

func (v values) Validate() error {
	if v.Switch && v.Text == "fail" {
		return fmt.Errorf("both: %w", errors.Join(
			&gateway.FieldError{Field: "text", Problem: "the password is " + v.Password.Reveal() + "; want another"},
			errors.New("something else is wrong"),
		))
	}
	if len(v.Points) == 3 {
		return &gateway.FieldError{Field: "points[2].x", Problem: "three are too many"}
	}
	return nil
}

// device are the keys of all devices, thermo and relay those of two kinds.
type device struct {
	ID     string        `yaml:"id" required:"true"`
	Driver string        `yaml:"driver" required:"true" doc:"Kind of device."`
	Every  time.Duration `yaml:"every" default:"10s" min:"100ms"`
}

type thermo struct {
	Address int `yaml:"address" default:"0x76" oneof:""`
}

type relay struct {
	Line string `yaml:"line" required:"true"`
	Safe string `yaml:"safe" default:"off" oneof:"on|off"`
}

func kind(name string) any {
	switch name {
	case "thermo":
		return &thermo{}
	case "relay":
		return &relay{}
	default:
		return nil
	}
}

var devices = config.Variants{
	Key: "driver", Common: device{}, Cases: map[string]any{"thermo": thermo{}, "relay": &relay{}},
}

// load reads a plant in the way that a service reads its config.
func load(path string) (plant, []any, error) {
	var p plant
	root, err := config.Load(path)
	if err != nil {
		return p, nil, err
	}
	errs := []error{root.Decode(&p)}
	var all []any
	for _, section := range p.Devices {
		name, _ := section.Text("driver")
		own := kind(name)
		if own == nil {
			errs = append(errs, section.Errorf("driver", "there is no driver %q; want relay or thermo", name))
			continue
		}
		var common device
		errs = append(errs, section.Decode(&common, own))
		all = append(all, common, own)
	}
	return p, all, config.Join(errs...)
}
