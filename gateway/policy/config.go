package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Terms are what the config of a device says about its commands. They are a part of
// the device's config.
type Terms struct {
	Allow           []string                    `yaml:"allow" doc:"Who may command it: hub (messages, direct methods and desired properties of the hub, command topics of a broker), local (the command line on the board), rule. Left out: all of them." oneof:"hub|local|rule"`
	AllowActions    map[string][]string         `yaml:"allow_actions" doc:"Who may ask for an action, by its name, of those who may command the device at all." oneof:"hub|local|rule"`
	Limits          map[string]map[string]Range `yaml:"limits" doc:"Bounds of arguments, by action and argument, within those of the driver."`
	MaxCommands     *Budget                     `yaml:"max_commands" doc:"Most commands in a time. More are denied, but for those that bring it into its safe state. Left out: no limit."`
	MinOn           time.Duration               `yaml:"min_on" doc:"Once its output on is on, it stays so for at least so long; a command that comes earlier is denied." default:"0s" min:"0s" max:"24h"`
	MinOff          time.Duration               `yaml:"min_off" doc:"Once its output on is off, it stays so for at least so long, from the start of the gateway, too; a command that comes earlier is denied." default:"0s" min:"0s" max:"24h" example:"5m"`
	MaxOn           time.Duration               `yaml:"max_on" doc:"It takes its safe state when its output on has been on for so long; a repeated on does not make that longer. 0s: no limit." default:"0s" min:"0s" max:"7d" example:"20m"`
	OnlyWhile       string                      `yaml:"only_while" doc:"Condition, of quantities written device.quantity, under which it may be away from its safe state. Commands are denied while it is false or not known, and so are commands for other devices that would make it false; when it ceases by itself, the device takes its safe state at once." example:"valve.on and tank.level > 10"`
	OnlyWhileMaxAge time.Duration               `yaml:"only_while_max_age" doc:"Readings that only_while names are known for so long; outputs of devices always are, while the device is there." default:"1m" min:"1s" max:"24h"`
	SafeAfter       SafeAfter                   `yaml:"safe_after" doc:"When it takes its safe state because it has been left alone."`
}

// Range bounds an argument.
type Range struct {
	Min *float64 `yaml:"min" doc:"Least value."`
	Max *float64 `yaml:"max" doc:"Highest value."`
}

// Budget is how many commands may be carried out in a time: so many at once, and
// then one each time that a share of the time has passed.
type Budget struct {
	Count int           `yaml:"count" doc:"So many commands." required:"true" min:"1" max:"100000"`
	Per   time.Duration `yaml:"per" doc:"In so long a time." default:"1m" min:"1s" max:"24h"`
}

// SafeAfter says when a device takes its safe state by itself; zero is never.
type SafeAfter struct {
	LinkLost time.Duration `yaml:"link_lost" doc:"There has been no session with the hub, and no command for it, for so long. 0s: never." default:"0s" min:"0s" max:"7d" example:"10m"`
	Silence  time.Duration `yaml:"silence" doc:"No command has come for it for so long while it was away from its safe state. 0s: never." default:"0s" min:"0s" max:"7d" example:"30m"`
}

// Validate checks what no tag can say.
func (c *Terms) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if c.MaxOn > 0 && c.MaxOn < max(c.MinOn, time.Second) {
		fault("max_on", "%v is too short; want at least 1s and min_on (%v)", c.MaxOn, c.MinOn)
	}
	for action, args := range c.Limits {
		for name, r := range args {
			if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
				fault("limits."+action+"."+name+".min", "%v is above max (%v)", *r.Min, *r.Max)
			}
		}
	}
	return errors.Join(errs...)
}

// Keys are those that are set.
func (c *Terms) Keys() (keys []string) {
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"allow", c.Allow != nil},
		{"allow_actions", c.AllowActions != nil},
		{"limits", c.Limits != nil},
		{"max_commands", c.MaxCommands != nil},
		{"min_on", c.MinOn > 0},
		{"min_off", c.MinOff > 0},
		{"max_on", c.MaxOn > 0},
		{"only_while", c.OnlyWhile != ""},
		{"safe_after.link_lost", c.SafeAfter.LinkLost > 0},
		{"safe_after.silence", c.SafeAfter.Silence > 0},
	} {
		if key.set {
			keys = append(keys, key.name)
		}
	}
	return keys
}

// allowed are those who may ask for an action; nil: all of them.
func (c *Terms) allowed(action string) []string {
	narrower, given := c.AllowActions[action]
	switch {
	case !given:
		return c.Allow
	case c.Allow == nil:
		return append([]string{}, narrower...)
	}
	return append([]string{}, slices.DeleteFunc(slices.Clone(narrower), func(who string) bool { return !slices.Contains(c.Allow, who) })...)
}

// group is who sent a command, in the words of the config.
func group(o gateway.Origin) string {
	switch o {
	case gateway.OriginLocal:
		return "local"
	case gateway.OriginRule:
		return "rule"
	default:
		return "hub"
	}
}

// timed tells whether the times of an output on are watched.
func (c *Terms) timed() bool { return c.MinOn > 0 || c.MinOff > 0 || c.MaxOn > 0 }

// needsRest lists the keys that mean nothing without a safe state.
func (c *Terms) needsRest() []string {
	return slices.DeleteFunc(c.Keys(), func(key string) bool {
		return !slices.Contains([]string{"max_on", "only_while", "safe_after.link_lost", "safe_after.silence"}, key)
	})
}
