package link

import (
	"errors"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestDescriptorFaults: what is wrong with a descriptor is told, line by line.
func TestDescriptorFaults(t *testing.T) {
	head := "device name=mixer\nfirmware name=fw version=1.2.3\n"
	for text, want := range map[string]string{
		"":                                "line feed",
		"device name=mixer":               "line feed",
		"device name=mixer\n":             "no line firmware",
		"firmware name=a version=1.0.0\n": "want device",
		"device name=mixer\nchannel id=1 name=a type=int\n": "want firmware",
		head + "device name=mixer\n":                        "device stands twice",
		head + "channel id=256 name=a type=int\n":           "id=0…255",
		head + "channel name=a type=int\n":                  "id=0…255",
		head + "channel id=1 name=A type=int\n":             "name=",
		head + "channel id=1 type=int\n":                    "name=",
		head + "channel id=1 name=a type=double\n":          "type=bool",
		head + "channel id=1 name=a type=none\n":            "type=bool",
		head + "channel id=1 name=a\n":                      "type=bool",
		head + "channel id=1 name=a type=int min=x\n":       "decimal",
		head + "channel id=1 name=a type=int min=1e5\n":     "decimal",
		head + "channel id=1 name=a type=text min=1\n":      "decimal",
		head + "channel id=1 name=a type=int min=2 max=1\n": "min is above max",
		head + "channel id=1 name=a type=int oneof=a,b\n":   "oneof",
		head + "channel id=1 name=a type=text oneof=a,,b\n": "oneof",
		head + "channel id=1 name=a type=int every=-1\n":    "every",
		head + "channel id=1  name=a type=int\n":            "no keyword",
		head + " channel id=1 name=a type=int\n":            "no keyword",
		head + "channel id=1 name=a type=int \n":            "no keyword",
		head + "channel id=1 id=2 name=a type=int\n":        "id stands twice",
		head + "channel id= name=a type=int\n":              "no keyword",
		head + "channel id=1 name=a type=int help=\"x\n":    "no keyword",
		head + "channel id=1 name=a type=int help=\"x\"y\n": "no keyword",
		head + "channel id=1 name=a type=int help=\"\"\n":   "no keyword",
		head + "channel id=1 name=a type=int\tunit=m\n":     "no text",
		head + "channel id=1 name=a type=int help=\xff\n":   "no text",
		head + "\n":    "no keyword",
		head + "a=b\n": "no keyword",
		head + "channel id=1 name=a type=int\nchannel id=1 name=b type=int\n":            "line 4 of the descriptor: channel id=1 stands twice",
		head + "channel id=1 name=a type=int\nchannel id=2 name=a type=int\n":            "channel name=a stands twice",
		head + "arg name=a type=int\n":                                                   "before any action",
		head + "result name=a type=int\n":                                                "before any action",
		head + "action id=1 name=a lease=5\n":                                            "takes no value",
		head + "action id=1 name=a\narg name=b type=int\narg name=b type=int\n":          "stands twice",
		head + "action id=1 name=a\narg name=b type=int\narg name=c type=int required\n": "required",
		head + "action id=1 name=a lease\narg name=b type=bool safe=0\n":                 "safe must be",
		head + "action id=1 name=a lease\narg name=b type=int safe=1.5\n":                "safe must be",
		head + "action id=1 name=a lease\narg name=b type=float safe=nan\n":              "safe must be",
		head + "action id=1 name=a lease\narg name=b type=text oneof=c,d safe=e\n":       "safe must be",
		head + strings.Repeat("more\n", mostDescriptor/5):                                "8192 are allowed",
		"device name=mixer\nfirmware name=fw version=1.2\n":                              "MAJOR",
		"device name=mixer\nfirmware name=fw version=1.256.3\n":                          "below 256",
		"device name=\"my mixer\"\nfirmware name=fw version=1.2.3\n":                     "name=",
		"device\nfirmware\n": "name=",
	} {
		d, err := ParseDescriptor([]byte(text))
		if d != nil || !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, %v, want %q", text, d, err, want)
		}
	}
}

// TestSafeValues: an argument says what its output has in the safe state.
func TestSafeValues(t *testing.T) {
	d, err := ParseDescriptor([]byte("device name=a\nfirmware name=b version=1.0.0\naction id=1 name=set lease\n" +
		"arg name=on type=bool safe=true\narg name=n type=int safe=-3\narg name=x type=float safe=0.5\narg name=t type=text safe=\"at rest\"\narg name=none type=int\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Value{BoolValue(true), IntValue(-3), FloatValue(0.5), TextValue("at rest")} {
		if got := d.Actions[0].Args[i].Safe; got == nil || *got != want {
			t.Errorf("%s: %v, want %v", d.Actions[0].Args[i].Name, got, want)
		}
	}
	if got := d.Actions[0].Args[4].Safe; got != nil {
		t.Errorf("none was told, got %v", got)
	}
}

// TestDescriptorOfLater: what a later version may say does no harm.
func TestDescriptorOfLater(t *testing.T) {
	d, err := ParseDescriptor([]byte("device name=a colour=\"dark = red\"\nfirmware name=b version=255.255.65535\nthing x y=z\nchannel id=0 name=c type=float shiny\n"))
	if err != nil || len(d.Channels) != 1 || d.Version != 0xFFFFFFFF {
		t.Errorf("it is %+v, %v", d, err)
	}
}
