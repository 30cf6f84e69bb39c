package command

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// Limits of the shape of a command.
const (
	// MaxIDBytes is IoT Hub's limit for a message id.
	MaxIDBytes = 128
	// MaxNameBytes bounds the names of device, action and arguments.
	MaxNameBytes = 64
	// MaxArgs bounds the number of arguments.
	MaxArgs = 64
	// MaxArgsBytes bounds the names and texts of all arguments together; 64 KiB
	// is what a cloud-to-device message can carry.
	MaxArgsBytes = 64 << 10
)

// Check verifies the shape of a command: whatever passes can be journalled
// and answered. It does not know the devices. The error names everything at
// fault and wraps gateway.ErrInvalid.
func Check(cmd gateway.Command) error {
	var faults []error
	if cmd.ID == "" || len(cmd.ID) > MaxIDBytes || !printable(cmd.ID) {
		faults = append(faults, fmt.Errorf("id %.40q: want 1 to %d bytes of printable text", cmd.ID, MaxIDBytes))
	}
	if !name(string(cmd.Device)) {
		faults = append(faults, fmt.Errorf("device %.40q: want 1 to %d bytes of printable text without spaces", cmd.Device, MaxNameBytes))
	}
	if !name(cmd.Action) {
		faults = append(faults, fmt.Errorf("action %.40q: want 1 to %d bytes of printable text without spaces", cmd.Action, MaxNameBytes))
	}
	if y := cmd.Expires.UTC().Year(); y < 1 || y > 9999 {
		faults = append(faults, fmt.Errorf("expires in the year %d: want 1 to 9999", y))
	}
	if err := checkArgs(cmd.Args); err != nil {
		faults = append(faults, err)
	}
	if faults == nil {
		return nil
	}
	lines := strings.Split(errors.Join(faults...).Error(), "\n")
	return fmt.Errorf("%s: %w", strings.Join(lines, "; "), gateway.ErrInvalid)
}

func checkArgs(args map[string]any) error {
	if len(args) > MaxArgs {
		return fmt.Errorf("%d arguments: at most %d are allowed", len(args), MaxArgs)
	}
	size := 0
	for key, v := range args {
		if !name(key) {
			return fmt.Errorf("argument %.40q: want a name of 1 to %d bytes of printable text without spaces", key, MaxNameBytes)
		}
		if fault := checkArg(v); fault != "" {
			return fmt.Errorf("argument %s: %s", key, fault)
		}
		text, _ := v.(string)
		size += len(key) + len(text)
	}
	if size > MaxArgsBytes {
		return fmt.Errorf("arguments of %d bytes: at most %d are allowed", size, MaxArgsBytes)
	}
	return nil
}

func checkArg(v any) (fault string) {
	switch v := v.(type) {
	case bool:
		return ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprintf("%v is not a number that can be passed on", v)
		}
		return ""
	case string:
		if !utf8.ValidString(v) {
			return "the text is not UTF-8"
		}
		return ""
	default:
		return fmt.Sprintf("%T: want true, false, a number or a string", v)
	}
}

func name(s string) bool {
	return s != "" && len(s) <= MaxNameBytes && printable(s) && !strings.ContainsRune(s, ' ')
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
