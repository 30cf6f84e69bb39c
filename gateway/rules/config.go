package rules

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// Rule is one entry of the section rules.
type Rule struct {
	ID      string        `yaml:"id" doc:"Name of the rule, unique on this gateway." required:"true" pattern:"^[A-Za-z][A-Za-z0-9._-]{0,62}$" want:"a letter, then up to 62 letters, digits, dots, underscores and hyphens" example:"fan"`
	When    string        `yaml:"when" doc:"The condition, of the quantities of any devices, written as device.quantity. With at or every: it must hold at that moment." example:"air.temperature > 35"`
	For     time.Duration `yaml:"for" doc:"It must have held for so long before the rule begins." min:"0s" max:"24h" example:"2m"`
	Until   string        `yaml:"until" doc:"The rule lasts until this holds and when does not, so that a value about the limit does not switch each time. Left out: as long as when holds." example:"air.temperature < 33"`
	At      []string      `yaml:"at" lone:"true" doc:"One or more times of day: 06:30, or sunrise, sunset, dawn, dusk, also with a shift, as in sunset-15m." example:"06:30"`
	Every   time.Duration `yaml:"every" doc:"Time from one moment to the next, counted from the start of the gateway or from the beginning of between." min:"10s" max:"1h" example:"15m"`
	Between string        `yaml:"between" doc:"Part of the day in which the rule counts: two times of day as for at, with and between them." example:"sunset-15m and 23:00"`
	Days    []string      `yaml:"days" lone:"true" doc:"Days of the week on which the rule counts; a night counts to the day on which it begins. Left out: every day." example:"mon-fri"`

	Do        *Do    `yaml:"do" doc:"The command, when the rule begins, or at its moments."`
	Otherwise *Do    `yaml:"otherwise" doc:"The command when the rule ends. Left out: none."`
	Alert     string `yaml:"alert" doc:"An alert with this text begins and ends with the rule." example:"The greenhouse is too hot."`

	Repeat       time.Duration `yaml:"repeat" doc:"While the rule lasts, do is carried out again so often, so that an actuator that was reset follows. Left out: never." min:"1m" max:"24h" example:"10m"`
	MaxAge       time.Duration `yaml:"max_age" doc:"A quantity that is older is unknown. Left out: 5m, or three times the every of its device if that is longer." min:"1s" max:"7d" example:"10m"`
	IfSilent     string        `yaml:"if_silent" doc:"What is done with the device that the rule has moved when the condition has been unknown for max_age: its safe state (safe, if left out), the command of otherwise, or nothing." oneof:"safe|otherwise|keep"`
	CatchUp      time.Duration `yaml:"catch_up" doc:"A moment that could not be kept, since the gateway was off or did not know the time, is caught up within so long, and missed after that. Left out: 1m." min:"1s" max:"24h" example:"2h"`
	MinInterval  time.Duration `yaml:"min_interval" doc:"The rule begins at most once in so long; what would begin sooner waits. Left out: 1s." min:"100ms" max:"24h"`
	MaxPerMinute int           `yaml:"max_per_minute" doc:"A rule that begins more often within a minute is suspended for ten minutes. Left out: 10." min:"1" max:"600"`
}

// What keys that are left out stand for.
const (
	defaultMaxAge       = 5 * time.Minute
	defaultCatchUp      = time.Minute
	defaultMinInterval  = time.Second
	defaultMaxPerMinute = 10
)

// What is done when a rule is silent.
const (
	silentSafe      = "safe"
	silentOtherwise = "otherwise"
	silentKeep      = "keep"
)

// Do is a command of a rule.
type Do struct {
	Device string                   `yaml:"device" doc:"The device that is to act." required:"true" example:"fan"`
	Action string                   `yaml:"action" doc:"Its action, as fieldpost devices DEVICE lists them." required:"true" example:"set"`
	Args   map[string]gateway.Value `yaml:"args" doc:"The arguments of the action by their names."`
}

// args are those of a command.
func (d *Do) args() map[string]any {
	args := make(map[string]any, len(d.Args))
	for name, v := range d.Args {
		args[name] = expression.Plain(v)
	}
	return args
}

// momentary tells whether the rule is one of moments, and not one with a state.
func (r *Rule) momentary() bool { return len(r.At) > 0 || r.Every > 0 }
