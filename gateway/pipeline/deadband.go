package pipeline

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// band is how far a value may go before it is news: a number in its unit, or a
// share of the value that was sent last.
type band struct {
	width float64
	share bool
}

// parseBand reads 0.1, 2% or change.
func parseBand(s string) (band, bool) {
	if s == "change" {
		return band{}, true
	}
	text, share := strings.CutSuffix(s, "%")
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= 0 && x <= math.MaxFloat64) {
		return band{}, false
	}
	if share {
		x /= 100
	}
	return band{width: x, share: share}, true
}

// covers tells whether x is so close to what was sent that it need not be.
func (b band) covers(sent, x float64) bool {
	width := b.width
	if b.share {
		width *= math.Abs(sent)
	}
	return math.Abs(x-sent) <= width
}

// gate is the step of a Chain that holds back what has not changed. What the
// receiver has is never off by more than the band, but for what a rate limit
// still holds.
type gate struct {
	bands     map[string]band
	heartbeat time.Duration
	sent      map[readingKey]*sent
}

// sent is what was last let through of a quantity.
type sent struct {
	value   gateway.Value
	unit    string
	quality gateway.Quality
	at      time.Time
}

// pass tells whether a reading is news: the first, a change of the value, of
// its kind, unit or quality, or one whose heartbeat is due.
func (g *gate) pass(r *gateway.Reading, now time.Time) bool {
	b, found := g.bands[r.Name]
	if !found {
		return true
	}
	key := readingKey{r.Device, r.Name}
	last := g.sent[key]
	switch {
	case last == nil && len(g.sent) >= maxTracked:
		return true
	case last == nil:
		last = &sent{}
		g.sent[key] = last
	case now.Sub(last.at) < g.heartbeat && last.quality == r.Quality && last.unit == r.Unit && b.same(last.value, r.Value):
		return false
	}
	*last = sent{r.Value, r.Unit, r.Quality, now}
	return true
}

// same tells whether a value is no news after another.
func (b band) same(sent, v gateway.Value) bool {
	was, wasNumber := sent.Number()
	is, isNumber := v.Number()
	if wasNumber && isNumber {
		return b.covers(was, is)
	}
	return sent == v
}
