package scene

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Config are the sections groups and scenes of the config file.
type Config struct {
	Groups map[string][]string `yaml:"groups" doc:"Devices that do the same at once, by a name that takes commands as a device does."`
	Scenes []Plan              `yaml:"scenes" doc:"What is done one after the other, under a name that takes commands as a device does."`
}

// Plan is one scene, as the config has it.
type Plan struct {
	ID     string        `yaml:"id" required:"true" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" want:"up to 63 letters, digits, dots, underscores and hyphens" doc:"Name of the scene, unlike that of any device; its action is run." example:"night"`
	Within time.Duration `yaml:"within" default:"10m" min:"1s" max:"24h" doc:"Time that the scene has, from the moment that its command came in. Then nothing more of it is begun, also if the gateway was restarted meanwhile."`
	MaxAge time.Duration `yaml:"max_age" default:"5m" min:"1s" max:"7d" doc:"A reading older than this counts for only_if as if there were none; outputs of devices count as they are."`
	Steps  []StepConfig  `yaml:"steps" required:"true" doc:"What is done, in this order: each a command, or a pause."`
}

// StepConfig is one step of a scene: a command for a device, a group or another
// scene, or a pause.
type StepConfig struct {
	Device    string                   `yaml:"device" doc:"Device, group or other scene that the command is for." example:"pump"`
	Action    string                   `yaml:"action" doc:"What it is to do." example:"set"`
	Args      map[string]gateway.Value `yaml:"args" doc:"Arguments of the action, by name; fieldpost devices DEVICE shows which."`
	Wait      time.Duration            `yaml:"wait" min:"1ms" max:"24h" doc:"Pause, in the place of a command. It begins anew if the gateway is restarted meanwhile."`
	OnlyIf    string                   `yaml:"only_if" doc:"Condition under which the step is taken; it is left out otherwise, and fails if a value is not known. Quantities are named device.quantity." example:"tank.level > 20"`
	OnFailure string                   `yaml:"on_failure" default:"stop" oneof:"stop|continue|undo" doc:"What follows if the step is not done: stop here, continue with the next, or undo this one and those before it, the last first. A scene that is cancelled fails with the step at which it is."`
	Undo      *UndoConfig              `yaml:"undo" doc:"What undoes the step, on the same device. Left out: nothing."`
}

// UndoConfig takes a step back.
type UndoConfig struct {
	Action string                   `yaml:"action" required:"true" doc:"What the device of the step is to do."`
	Args   map[string]gateway.Value `yaml:"args" doc:"Arguments of the action, by name."`
}

// What follows a failure.
const (
	onFailureContinue = "continue"
	onFailureUndo     = "undo"
)

const (
	// maxParts bounds the members of a group and the steps of a scene, so that what
	// became of each fits into the result.
	maxParts = 64
	// undoTime is how long the undoing may take, beside the time of the scene.
	undoTime = time.Minute
)

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Validate finds what no tag can say of one scene.
func (c *Plan) Validate() error {
	var f faults
	if len(c.Steps) == 0 || len(c.Steps) > maxParts {
		f.add("steps", "%d are given; want 1 to %d", len(c.Steps), maxParts)
	}
	var waits time.Duration
	undoable := false
	for i, s := range c.Steps {
		waits += s.Wait
		undoable = undoable || s.Undo != nil
		undoes := func(s StepConfig) bool { return s.OnFailure == onFailureUndo }
		if undoes(s) && !undoable {
			f.add(fmt.Sprintf("steps[%d].on_failure", i), "neither this step nor one before it has an undo")
		}
		if s.Undo != nil && !slices.ContainsFunc(c.Steps[i:], undoes) {
			f.add(fmt.Sprintf("steps[%d].undo", i), "has no effect, since neither this step nor one after it has on_failure: undo")
		}
	}
	if waits >= c.Within {
		f.add("within", "the pauses alone take %v; want more", waits)
	}
	return f.join()
}

// Validate finds what no tag can say of one step.
func (c *StepConfig) Validate() error {
	var f faults
	switch {
	case c.Wait != 0 && (c.Device != "" || c.Action != "" || c.Args != nil || c.Undo != nil):
		f.add("wait", "has no place beside device, action, args and undo; want a step of its own")
	case c.Wait == 0 && c.Device == "":
		f.add("device", "is missing; want a device with an action, or wait")
	case c.Wait == 0 && c.Action == "":
		f.add("action", "is missing; want what %s is to do", c.Device)
	}
	return f.join()
}

// faults collects what is wrong, by field.
type faults []error

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (f faults) join() error { return errors.Join(f...) }
