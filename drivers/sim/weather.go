package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// What the weather is like.
const (
	// daily is how far the temperature swings by the hour, in Cel.
	daily = 3.0
	// hottest is the time of day at which it is warmest.
	hottest = 15 * time.Hour
	// wander is how far it strays from that, in Cel, and memory how long it
	// takes to come back.
	wander = 1.0
	memory = time.Hour

	// A humidity that belongs to the configured temperature, and what it loses
	// for each degree more; both in %RH.
	middling  = 55.0
	perDegree = 3.0

	// The mean times between counts, openings, and how long the door is open.
	countEvery = 10 * time.Second
	openEvery  = 5 * time.Minute
	openFor    = 20 * time.Second
)

// weather makes the values; the same seed and the same times give the same.
type weather struct {
	config Config
	random *rand.Rand
	last   time.Time
	stray  float64 // of the temperature, in Cel
	count  uint64
	door   bool
}

// sample is the weather at one moment.
type sample struct {
	temperature, humidity float64
	count                 uint64
	door                  bool
}

func newWeather(c Config, now time.Time) *weather {
	seed := uint64(c.Seed)
	if seed == 0 {
		seed = rand.Uint64()
	}
	return &weather{config: c, random: rand.New(rand.NewPCG(seed, 0)), last: now}
}

// at goes on to a moment. A clock that steps back makes time stand still.
func (w *weather) at(now time.Time) sample {
	passed := max(0, now.Sub(w.last))
	w.last = now
	w.drift(passed)
	w.count += uint64(float64(passed)/float64(countEvery) + w.random.Float64())
	w.turnDoor(passed)
	swing := daily * math.Cos(2*math.Pi*float64(sinceMidnight(now)-hottest)/float64(24*time.Hour))
	rise := swing + w.stray
	noise := w.config.Noise * w.random.NormFloat64()
	return sample{
		temperature: round(w.config.Temperature + rise + noise),
		humidity:    round(min(100, max(0, middling-perDegree*rise+w.config.Noise*w.random.NormFloat64()))),
		count:       w.count,
		door:        w.door,
	}
}

// drift is a random walk that is drawn back to 0 (an Ornstein-Uhlenbeck
// process, exact for any step).
func (w *weather) drift(passed time.Duration) {
	keep := math.Exp(-float64(passed) / float64(memory))
	w.stray = w.stray*keep + wander*math.Sqrt(1-keep*keep)*w.random.NormFloat64()
}

func (w *weather) turnDoor(passed time.Duration) {
	mean := openEvery
	if w.door {
		mean = openFor
	}
	if w.random.Float64() < 1-math.Exp(-float64(passed)/float64(mean)) {
		w.door = !w.door
	}
}

func sinceMidnight(t time.Time) time.Duration {
	t = t.UTC()
	return t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC))
}

// round keeps two decimals: more would be noise, and bytes on the link.
func round(x float64) float64 { return math.Round(x*100) / 100 }
