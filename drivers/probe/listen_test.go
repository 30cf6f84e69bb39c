package probe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/drivers/probe"
	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// talker is a port, below a root, on which somebody says the same again and again.
func talker(t *testing.T, says string) (root string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	name := near.Name()
	root = tree(t, map[string]string{"dev/ttyUSB0": "->" + name, "sys/class/tty/ttyUSB0/device/x": ""})
	talking := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for says != "" {
			select {
			case <-talking:
				return
			case <-pace.C:
				_, _ = far.WriteString(says) // nobody may be listening
			}
		}
	}()
	t.Cleanup(func() {
		close(talking)
		_ = near.Close()
		_ = far.Close()
		<-done
	})
	return root
}

// listened is what is heard on the only port.
func listened(t *testing.T, root string, change func(*probe.Options)) probe.Report {
	t.Helper()
	hardware := i2csim.New(nil).Hardware()
	hardware.GPIO = gpio()
	o := probe.Options{Root: root, Hardware: hardware, Listen: 150 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	r, err := probe.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// greeting is what a microcontroller says until it is answered.
func greeting() string {
	hello := link.Hello{Lowest: 1, Highest: 1, Role: link.Application, Cause: 4, MaxPayload: 64, Timeout: 5000}
	return string(link.Frame{Version: 1, Type: link.TypeHello.Answer(), Payload: hello.Append(nil)}.Append(nil))
}

func TestListen(t *testing.T) {
	for _, c := range []struct{ says, kind, driver, example string }{
		{says: "$GPGGA,,,,,,0,,,,,,,,*66\r\n", kind: probe.NMEA, driver: "nmea", example: "$GPGGA,,,,,,0,,,,,,,,*66"},
		{says: `{"t": 21.5}` + "\n", kind: probe.JSON, driver: "json-lines", example: `{"t": 21.5}`},
		{says: "T=21.5 it's H=40\r", kind: probe.Text, driver: "lines", example: "T=21.5 it's H=40"},
		{says: "ready\r\n", kind: probe.Text, driver: "lines", example: "ready"},
		{says: greeting(), kind: probe.Bridge, driver: "mcu", example: "application, last reset: watchdog"},
		{says: "\x00\xff\x80\n", kind: probe.Noise},
		{kind: probe.Silence},
	} {
		t.Run(c.kind+c.example, func(t *testing.T) {
			t.Parallel()
			root := talker(t, c.says)
			r := listened(t, root, nil)
			if len(r.Serial) != 1 || r.Serial[0].Heard == nil || r.Serial[0].Problem != "" {
				t.Fatalf("%+v", r.Serial)
			}
			h := *r.Serial[0].Heard
			if h.Kind != c.kind || h.Driver != c.driver || c.example != "" && h.Example != c.example {
				t.Errorf("heard %+v, want %+v", h, c)
			}
			if yaml := r.YAML(); strings.HasPrefix(yaml, "devices:") {
				loads(t, yaml)
			} else if c.driver != "" && c.example != "ready" {
				t.Errorf("nothing to paste: %q", yaml)
			}
		})
	}
}

// TestPortsStayClosed unless they are to be listened to, are free, and are meant.
func TestPortsStayClosed(t *testing.T) {
	for name, change := range map[string]func(*probe.Options){
		"not asked for": func(o *probe.Options) { o.Listen = 0 },
		"in use": func(o *probe.Options) {
			o.Claims = []bus.Claim{{By: "device gps", Device: "/dev/ttyUSB0", Address: bus.Whole}}
		},
		"another meant": func(o *probe.Options) { o.Ports = []string{"/dev/ttyUSB7"} },
	} {
		root := talker(t, "x\n")
		r := listened(t, root, change)
		if r.Serial[0].Heard != nil || r.Serial[0].Problem != "" {
			t.Errorf("%s: %+v", name, r.Serial[0])
		}
	}
}

func TestPortThatIsNotThere(t *testing.T) {
	r := listened(t, tree(t, map[string]string{"x": ""}), func(o *probe.Options) { o.Ports = []string{"/dev/ttyUSB7"} })
	if len(r.Serial) != 1 || !strings.Contains(r.Serial[0].Problem, "no such port") {
		t.Errorf("%+v", r.Serial)
	}
}

// FuzzHeard: whatever comes, what is said of it can be printed and pasted.
func FuzzHeard(f *testing.F) {
	for _, seed := range []string{"$GPGGA,1*4b\r\n", "{\"a\":1}\n", "x\x00\n", "12:30 'a' -3.5 #\r\n", "\xff\n\xff", "\u2028\n\u0085\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := probe.Classify(data)
		if strings.ContainsAny(h.Example, "\r\n\x00\x1b") || len([]rune(h.Example)) > 120 {
			t.Errorf("%q", h.Example)
		}
		h.Baud = 9600
		port := probe.SerialPort{Port: "/dev/ttyUSB0", Device: "/dev/ttyUSB0", Heard: &h}
		if yaml := (probe.Report{Serial: []probe.SerialPort{port}}).YAML(); strings.HasPrefix(yaml, "devices:") {
			loads(t, yaml)
		} else if strings.Count(yaml, "\n") > 1 {
			t.Errorf("%q", yaml)
		}
	})
}
