package nmea

import (
	"fmt"
	"math"
	"strconv"
	"time"

	gonmea "github.com/adrianmo/go-nmea"

	"github.com/fieldpost/fieldpost/gateway"
)

// fields checks what go-nmea leaves open: whether a value is there, and possible.
type fields struct {
	all []string
	err error
}

// number tells whether a field is there, and notes one that is out of bounds.
func (f *fields) number(i int, low, high float64) bool {
	if i >= len(f.all) || f.all[i] == "" {
		return false
	}
	n, err := strconv.ParseFloat(f.all[i], 64)
	if err != nil || !(n >= low && n <= high) { // NaN is not
		f.err = fmt.Errorf("field %d is %q; want %v to %v: %w", i+1, f.all[i], low, high, gateway.ErrInvalid)
	}
	return true
}

// position tells whether there is a latitude and a longitude from field i on:
// ddmm.mmmm, N or S, dddmm.mmmm, E or W. go-nmea checks the rest of it.
func (f *fields) position(i int) bool {
	for j := i; j < i+4; j++ {
		if j >= len(f.all) || f.all[j] == "" {
			return false
		}
	}
	for _, j := range []int{i, i + 2} {
		if n, err := strconv.ParseFloat(f.all[j], 64); err != nil || !(n >= 0 && math.Mod(n, 100) < 60) {
			f.err = fmt.Errorf("field %d is %q; want degrees and minutes: %w", j+1, f.all[j], gateway.ErrInvalid)
		}
	}
	return true
}

// timeOf makes a time of what RMC says, false if there is no such time. A leap
// second is the next one's beginning.
func timeOf(d gonmea.Date, t gonmea.Time) (time.Time, bool) {
	if !d.Valid || !t.Valid {
		return time.Time{}, false
	}
	const firstYear = 80 // GPS began in January 1980
	year := 2000 + d.YY
	if d.YY >= firstYear {
		year = 1900 + d.YY
	}
	at := time.Date(year, time.Month(d.MM), d.DD, t.Hour, t.Minute, t.Second, t.Millisecond*int(time.Millisecond), time.UTC)
	exists := at.Day() == d.DD && int(at.Month()) == d.MM && t.Hour < 24 && t.Minute < 60 && t.Second < 60
	return at, exists
}
