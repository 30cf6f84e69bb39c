package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

func TestLinkForPeople(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := service.Status{Now: now, Upstream: uplink.Stats{
		MaxRate: 64_000,
		Bytes: uplink.Usage{
			Telemetry: uplink.Traffic{In: 4, Out: 81_200_000}, Records: uplink.Traffic{Out: 500},
			KeepAlive: uplink.Traffic{In: 2, Out: 2}, Connection: uplink.Traffic{In: 3000, Out: 2000},
		},
		Plan: &uplink.Standing{State: uplink.PlanThinning, Used: 81_205_508, Monthly: 100_000_000, Resets: now.Add(132 * time.Hour)},
	}}
	var out bytes.Buffer
	printLink(&out, s)
	want := "          81.2 MB out, 3.0 kB in, at most 64.0 kB/s out: telemetry 81.2 MB, records 500 B, commands 0 B, keep-alive 4 B, uploads 0 B, connection 5.0 kB\n" +
		"plan      81.2 MB of 100.0 MB used, readings are THINNED; a new month begins in 5 days\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
