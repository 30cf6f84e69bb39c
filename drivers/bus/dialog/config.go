package dialog

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Config is how to talk to a device; drivers embed it.
type Config struct {
	Init    []string      `yaml:"init" doc:"Texts that are sent once the port is open, with their line ends: in double quotes, as \"ECHO OFF\\r\\n\"." default:"[]"`
	Poll    string        `yaml:"poll" doc:"Text that asks the device for its values each time that every has passed, with its line end. Leave it out if the device speaks by itself." default:""`
	Every   time.Duration `yaml:"every" doc:"How often poll is sent." default:"10s" min:"100ms" max:"24h"`
	Timeout time.Duration `yaml:"timeout" doc:"How long to wait for the answer to poll, at most until the next. After three that are missing the device is reported, and begun with anew." default:"5s" min:"10ms" max:"5m"`
	Silence time.Duration `yaml:"silence" doc:"The device is reported when nothing that makes sense has come for so long; 0s for never." default:"0s" min:"0s" max:"7d"`
	MaxLine int           `yaml:"max_line" doc:"Longest line in bytes; longer ones are dropped and counted." default:"1024" min:"16" max:"65536"`
}

// Validate names the field at fault.
func (c Config) Validate() error {
	if c.Silence > 0 && c.Poll != "" && c.Silence < c.Every {
		return &gateway.FieldError{Field: "silence", Problem: fmt.Sprintf("%v is less than every, %v; the device is not asked so often", c.Silence, c.Every)}
	}
	return nil
}
