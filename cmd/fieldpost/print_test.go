package main

import (
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestShownTime(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	for want, given := range map[string]time.Time{
		"unknown": {}, "2026-11-30 12:00:00": at, "1m3s after start": gateway.Undated(63 * time.Second).Local(),
	} {
		if got := shownTime(given); got != want {
			t.Errorf("%v is shown as %q, want %q", given, got, want)
		}
	}
}
