package nmea

import (
	"errors"
	"fmt"
	"slices"
	"time"

	gonmea "github.com/adrianmo/go-nmea"

	"github.com/fieldpost/fieldpost/gateway"
)

// errOther is a sentence that is right, and not for us.
var errOther = errors.New("another sentence")

// types are the sentences that are read.
var types = []string{
	gonmea.TypeRMC, gonmea.TypeGGA, gonmea.TypeVTG,
	gonmea.TypeMWV, gonmea.TypeMWD, gonmea.TypeDPT, gonmea.TypeDBT, gonmea.TypeMTW,
}

// receiver makes readings of sentences.
type receiver struct {
	config Config
	tell   func(time.Time)
	parser gonmea.SentenceParser

	epoch  epoch
	status string    // the fix that was handed on last; empty: none yet
	next   time.Time // when the next fix is due

	instruments map[string]time.Time // when the next value of each is due
}

func newReceiver(c Config, tell func(time.Time)) *receiver {
	r := &receiver{config: c, tell: tell, instruments: make(map[string]time.Time)}
	r.parser.OnBaseSentence = func(s *gonmea.BaseSentence) error {
		if !slices.Contains(types, s.Type) || len(c.Talkers) > 0 && !slices.Contains(c.Talkers, s.Talker) {
			return errOther
		}
		return nil
	}
	return r
}

// decode is dialog.Decode: an error is a line that is no sentence, or a wrong one.
func (r *receiver) decode(line []byte) ([]gateway.Reading, error) {
	sentence, err := r.parser.Parse(string(line))
	switch {
	case errors.Is(err, errOther):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	switch s := sentence.(type) {
	case gonmea.RMC:
		return r.rmc(s)
	case gonmea.GGA:
		return r.gga(s)
	case gonmea.VTG:
		return nil, r.vtg(s)
	default:
		return r.instrument(sentence)
	}
}

// due tells whether it is time for the next of what comes once in each period,
// and moves on.
func due(next *time.Time, every time.Duration) bool {
	now := time.Now()
	if now.Before(*next) {
		return false
	}
	if *next = next.Add(every); !next.After(now) {
		*next = now.Add(every)
	}
	return true
}
