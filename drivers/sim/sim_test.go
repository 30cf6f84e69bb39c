package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

var plain = Config{Seed: 1, Temperature: 21, Noise: 0.1, Safe: "off"}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		c := plain
		c.Actuations = filepath.Join(t.TempDir(), "actuations")
		d, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// opened is a board at work, with the clock of the test.
func opened(t *testing.T, c Config, now func() time.Time) *Dev {
	t.Helper()
	d := at(c, now)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// run reads a board every step for n steps of a clock that the test sets.
func run(t *testing.T, c Config, step time.Duration, n int) (all [][]gateway.Reading) {
	t.Helper()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	d := opened(t, c, func() time.Time { return now })
	for range n {
		now = now.Add(step)
		readings, err := d.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, readings)
	}
	return all
}

// TestQuantitiesAreWhatIsRead, by name and kind.
func TestQuantitiesAreWhatIsRead(t *testing.T) {
	known := plain.Quantities()
	for _, r := range run(t, plain, time.Second, 1)[0] {
		_, said := known[r.Name].Number()
		if _, is := r.Value.Number(); is != said {
			t.Errorf("%s is a number: %v, and said to be one: %v", r.Name, is, said)
		}
		delete(known, r.Name)
	}
	if len(known) > 0 {
		t.Errorf("never read: %v", known)
	}
}

func number(readings []gateway.Reading, name string) float64 {
	i := slices.IndexFunc(readings, func(r gateway.Reading) bool { return r.Name == name })
	n, _ := readings[i].Value.Number()
	return n
}

func TestSameSeedSameWeather(t *testing.T) {
	first, second := run(t, plain, time.Minute, 100), run(t, plain, time.Minute, 100)
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Error("two boards with one seed differ")
	}
	other := plain
	other.Seed = 2
	if fmt.Sprint(first) == fmt.Sprint(run(t, other, time.Minute, 100)) {
		t.Error("another seed gives the same")
	}
	other.Seed = 0
	first, second = run(t, other, time.Minute, 100), run(t, other, time.Minute, 100)
	if fmt.Sprint(first) == fmt.Sprint(second) {
		t.Error("seed 0 gives the same twice")
	}
}

// TestTenDays: the values stay what a technician would believe.
func TestTenDays(t *testing.T) {
	all := run(t, plain, 10*time.Second, 10*24*360)
	var sum, hot, cold, opened, count float64
	for i, r := range all {
		temperature, humidity := number(r, "temperature"), number(r, "humidity")
		sum += temperature
		switch hour := (i / 360) % 24; hour {
		case 15:
			hot += temperature
		case 3:
			cold += temperature
		}
		if temperature < 21-10 || temperature > 21+10 || humidity < 0 || humidity > 100 {
			t.Fatalf("%v", r)
		}
		if i > 0 && number(r, "count") < count {
			t.Fatalf("the count falls from %v to %v", count, number(r, "count"))
		}
		count = number(r, "count")
		if open, _ := r[3].Value.Bool(); open {
			opened++
		}
	}
	n := float64(len(all))
	if mean := sum / n; mean < 20 || mean > 22 {
		t.Errorf("mean temperature %.2f", mean)
	}
	if diff := (hot - cold) / 3600; diff < daily {
		t.Errorf("at 15:00 it is %.2f warmer than at 3:00", diff)
	}
	if share := opened / n; share < 0.02 || share > 0.15 {
		t.Errorf("the door is open %.0f %% of the time", 100*share)
	}
	if count < 0.9*n || count > 1.1*n { // one in 10 s
		t.Errorf("%v counts in %v steps", count, n)
	}
}

func TestHumidityStaysInRange(t *testing.T) {
	c := plain
	c.Noise = 10
	for _, r := range run(t, c, time.Hour, 10_000) {
		if h := number(r, "humidity"); h < 0 || h > 100 {
			t.Fatalf("humidity %v", h)
		}
	}
}

func TestClockSteps(t *testing.T) {
	now := time.Now()
	d := opened(t, plain, func() time.Time { return now })
	var count float64
	for _, step := range []time.Duration{time.Hour, -30 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour, 0} {
		now = now.Add(step)
		r, err := d.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if temperature := number(r, "temperature"); temperature < 0 || temperature > 40 {
			t.Errorf("after a step of %v: %v", step, r)
		}
		if number(r, "count") < count {
			t.Errorf("after a step of %v the count falls from %v to %v", step, count, number(r, "count"))
		}
		count = number(r, "count")
	}
}

func relay(t *testing.T, d *Dev) bool {
	t.Helper()
	r, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	on, _ := r[4].Value.Bool()
	return on
}

func do(t *testing.T, d *Dev, id, action string, args map[string]any) (any, error) {
	t.Helper()
	values, err := d.Do(t.Context(), gateway.Command{ID: id, Action: action, Args: args})
	return values["relay"], err
}

func TestRelayAndPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := opened(t, plain, time.Now)
		for _, before := range []bool{false, true, false} {
			if v, err := do(t, d, "a", "relay", map[string]any{"on": before}); v != before || err != nil || relay(t, d) != before {
				t.Errorf("relay on=%t: %v %v, is %v", before, v, err, relay(t, d))
			}
			ended := make(chan any)
			go func() {
				v, err := do(t, d, "b", "pulse", map[string]any{"ms": 500.0})
				if err != nil {
					t.Error(err)
				}
				ended <- v
			}()
			time.Sleep(499 * time.Millisecond)
			if !relay(t, d) {
				t.Error("the relay is off within the pulse")
			}
			if v := <-ended; v != before || relay(t, d) != before {
				t.Errorf("after the pulse: reports %v, is %v, want %v", v, relay(t, d), before)
			}
		}
	})
}

// TestPulseEndsWithItsContext: nothing is left on.
func TestPulseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := opened(t, plain, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := d.Do(ctx, gateway.Command{ID: "a", Action: "pulse", Args: map[string]any{"ms": 500.0}})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 20*time.Millisecond || relay(t, d) {
			t.Errorf("%v after %v, relay %v", err, time.Since(start), relay(t, d))
		}
	})
}

// TestSafeWaitsForAPulse, which would otherwise undo it.
func TestSafeWaitsForAPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := opened(t, plain, time.Now)
		if _, err := do(t, d, "a", "relay", map[string]any{"on": true}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := do(t, d, "b", "pulse", map[string]any{"ms": 400.0})
			ended <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.Safe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("within the pulse: %v", err)
		}
		if err := errors.Join(d.Safe(t.Context()), <-ended); err != nil || relay(t, d) {
			t.Errorf("%v, relay %v", err, relay(t, d))
		}
	})
}

func TestSafeStates(t *testing.T) {
	for safe, want := range map[string][2]bool{"off": {false, false}, "on": {true, true}, "keep": {false, true}} {
		c := plain
		c.Safe = safe
		d := opened(t, c, time.Now)
		for i, before := range []bool{false, true} {
			d.set(before)
			if err := d.Safe(t.Context()); err != nil || relay(t, d) != want[i] {
				t.Errorf("safe: %s with the relay %v: %v, %v", safe, before, relay(t, d), err)
			}
		}
	}
}

func TestRefusedCommands(t *testing.T) {
	d := opened(t, plain, time.Now)
	for _, args := range []map[string]any{nil, {"ms": 0.0}, {"ms": 501.0}, {"ms": 1.5}, {"ms": "5"}, {"ms": 5.0, "on": true}} {
		if _, err := do(t, d, "a", "pulse", args); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("pulse %v: %v", args, err)
		}
	}
	if _, err := do(t, d, "a", "explode", nil); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), "want relay or pulse") {
		t.Errorf("explode: %v", err)
	}
}

// TestActuations: one line for each thing done, none for what was refused.
func TestActuations(t *testing.T) {
	c := plain
	c.Actuations = filepath.Join(t.TempDir(), "actuations")
	if err := os.WriteFile(c.Actuations, []byte("from before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := opened(t, c, time.Now)
	_, err1 := do(t, d, "c-1", "relay", map[string]any{"on": true})
	_, err2 := do(t, d, "c-2", "pulse", map[string]any{"ms": 2.0})
	if _, err := do(t, d, "c-3", "pulse", map[string]any{"ms": 0.0}); err == nil {
		t.Error("a pulse of 0 ms is done")
	}
	if err := errors.Join(err1, err2, d.Safe(t.Context()), d.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Actuations)
	if err != nil {
		t.Fatal(err)
	}
	stamp := `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z `
	want := "^from before\n" + stamp + "c-1 relay on=true\n" + stamp + "c-2 pulse ms=2\n" + stamp + "- safe off\n$"
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

// TestNothingMovesWithoutANote: the file is full or gone.
func TestNothingMovesWithoutANote(t *testing.T) {
	c := plain
	c.Actuations = "/dev/full"
	d := opened(t, c, time.Now)
	if _, err := do(t, d, "a", "relay", map[string]any{"on": true}); err == nil || relay(t, d) {
		t.Errorf("%v, relay %v", err, relay(t, d))
	}
	c.Actuations = filepath.Join(t.TempDir(), "no", "such", "folder")
	if err := at(c, time.Now).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "actuations") {
		t.Errorf("a file that cannot be made: %v", err)
	}
}
