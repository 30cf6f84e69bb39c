package main

import (
	"os"
	"strings"
	"testing"
)

// TestCheckWarns: a config that is right can be unwise.
func TestCheckWarns(t *testing.T) {
	b := newBoard(t)
	if out, errs := b.check(t); errs != "" || !strings.Contains(out, "right, 1 devices") {
		t.Errorf("of a wise config: %s%s", out, errs)
	}
	text, err := os.ReadFile(b.config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "  - {id: gps, driver: nmea, port: /dev/ttyUSB0}\n"...)
	if err := os.WriteFile(b.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs := b.check(t)
	if want := "warning: " + b.config + ":7:35: devices[gps].port: /dev/ttyUSB0 can be another adapter"; !strings.HasPrefix(errs, want) || !strings.Contains(out, "right, 2 devices") {
		t.Errorf("%s%s\nwant %s", out, errs, want)
	}
}

// check runs fieldpost check, which finds the config right.
func (b *board) check(t *testing.T) (out, errs string) {
	t.Helper()
	code, out, errs := cli(t, "check", "--config", b.config)
	if code != 0 {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	return out, errs
}
