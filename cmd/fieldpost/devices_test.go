package main

import (
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestWhatBecameOfReadingsIsTold(t *testing.T) {
	for _, c := range []struct {
		stats service.ProcessingStats
		want  string
	}{
		{service.ProcessingStats{Taken: 3, Sent: 3}, "readings  3 measured, 3 sent"},
		{
			service.ProcessingStats{Taken: 90, Summaries: 2, Sent: 4, Bad: 3, Dropped: 1, Windowed: 60, Suppressed: 26, Held: 1},
			"readings  90 measured, 4 sent, 60 summed up, 26 held back, 1 waiting for their rate limit, 1 dropped, 3 outside of their valid range",
		},
	} {
		var out strings.Builder
		printProcessing(&out, c.stats)
		if got := strings.TrimSpace(out.String()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
