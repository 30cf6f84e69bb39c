package service

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// receiver is a GPS receiver on a serial line that tells one and the same second.
func receiver(t *testing.T, sentence string) (port string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(said)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = fmt.Fprintf(far, "%s\r\n", sentence)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-said
		near.Close()
		far.Close()
	})
	return near.Name()
}

// TestReceiversTellTheTime: two that agree are listened to at once, and these
// cannot be right: their weeks have run over.
func TestReceiversTellTheTime(t *testing.T) {
	const sentence = "$GPRMC,123519.00,A,4807.038,N,01131.000,E,,,230307,,,A*54"
	text := strings.Replace(configText, "BROKER", startBroker(t).url, 1) + fmt.Sprintf(`  - {id: gps-1, driver: nmea, port: %s}
  - {id: gps-2, driver: nmea, port: %s}
`, receiver(t, sentence), receiver(t, sentence))
	r := startServiceWith(t, t.TempDir(), text)
	eventually(t, func() error {
		s, err := r.link(t)
		if err != nil {
			return err
		}
		for _, c := range s.Conditions {
			if c.Code == "clock-doubtful" && strings.Contains(c.Summary, "says it is 2007-03-23T12:35:") {
				return nil
			}
		}
		return fmt.Errorf("conditions %+v", s.Conditions)
	})
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}
