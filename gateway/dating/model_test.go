package dating_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
)

// model is a board that lives through boots, restarts, steps of its clock and sending,
// at random.
type model struct {
	*board
	t      *testing.T
	seed   uint64
	random *rand.Rand
	boots  int
	fast   float64 // by how much its oscillator is, as a part
	real   time.Time
	dater  *dating.Dater
	starts *dating.Starts
	// queued are the messages, of which each may be sent at any time and often.
	queued []*queued
	// learnt are the boots whose start is known.
	learnt map[string]bool
}

type queued struct {
	message gateway.Message
	boot    string
	real    time.Time
	sent    string // as which body
	early   bool   // with an estimate that has no end
	run     int    // of the program in which that was
}

func (m *model) pass(d time.Duration) {
	m.real = m.real.Add(d)
	m.up += d + time.Duration(m.fast*float64(d))
	m.start = m.real.Add(-m.up) // so that the board's now is the real time
	m.starts.Look()
	m.learnt[m.boot] = m.learnt[m.boot] || m.knows
}

func (m *model) restart() {
	if m.random.IntN(2) == 0 {
		m.starts.Stop()
	}
	m.begin()
}

func (m *model) begin() {
	m.boots++ // of the program, too
	m.starts = m.run()
	m.dater = dating.NewDater(m.starts)
	m.pass(time.Second)
}

func (m *model) reboot() {
	m.real = m.real.Add(time.Duration(m.random.Int64N(int64(100 * time.Hour))))
	*m.board = board{boot: fmt.Sprintf("r%d", m.boots), up: 5 * time.Second, start: m.real.Add(-5 * time.Second), knows: m.random.IntN(3) == 0, card: m.card}
	m.begin()
}

// read queues a message with a reading of now.
func (m *model) read() {
	if m.knows {
		return // it has the right time
	}
	seq := uint64(len(m.queued) + 1)
	body := fmt.Sprintf(`{"v":1,%s"readings":[{"name":"x","time":%q}]}`, dating.Label(m.boot), m.Now().Format("2006-01-02T15:04:05.000Z"))
	m.queued = append(m.queued, &queued{message: message(seq, body), boot: m.boot, real: m.real})
}

// send sends a message, for the first time or again.
func (m *model) send(q *queued) {
	learnt := m.learnt[q.boot] || q.boot == m.boot && m.knows
	body := string(m.dater.Date(q.message).Body)
	var got struct {
		To       time.Time `json:"time_to"`
		Readings []struct {
			Time      time.Time
			Estimated bool `json:"time_estimated"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		m.t.Fatalf("seed %d: %v: %s", m.seed, err, body)
	}
	drift := 10*time.Millisecond + 300*time.Hour/10_000
	r := got.Readings[0]
	switch late := r.Time.Sub(q.real); {
	case r.Estimated && learnt && !q.early:
		m.t.Fatalf("seed %d: %s is estimated, although the start of its boot is known", m.seed, body)
	case r.Estimated && (late > drift || !got.To.IsZero() && got.To.Before(q.real.Add(-drift))):
		m.t.Fatalf("seed %d: %s: the bounds do not hold %v", m.seed, body, q.real)
	case !r.Estimated && late.Abs() > drift:
		m.t.Fatalf("seed %d: %s is off by %v from %v", m.seed, body, late, q.real)
	}
	if q.sent != "" && q.sent != body && (!q.early || q.run == m.boots) {
		m.t.Fatalf("seed %d: sent again it is\n%s\nand was\n%s", m.seed, body, q.sent)
	}
	q.sent, q.run, q.early = body, m.boots, r.Estimated && got.To.IsZero()
}

// TestTimesAreTrue: whatever a board goes through, each time that it sends is the true
// one within the drift of its oscillator, or an estimate whose bounds hold that; it is no
// estimate if the time became known in that boot; and a message that is sent again is the
// same.
func TestTimesAreTrue(t *testing.T) {
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &model{board: newBoard(), t: t, seed: seed, random: random, fast: (random.Float64() - 0.5) / 5000, real: truth.Add(time.Minute), learnt: make(map[string]bool)}
		m.begin()
		for range 300 {
			switch random.IntN(12) {
			case 0:
				m.reboot()
			case 1:
				m.restart()
			case 2:
				m.knows = true
			case 3:
				if m.learnt[m.boot] { // somebody sets the clock back
					m.off = -time.Duration(random.Int64N(int64(time.Hour)))
				}
			case 4, 5, 6:
				m.read()
			case 7, 8:
				m.pass(time.Duration(random.Int64N(int64(10 * time.Hour))))
			default:
				if len(m.queued) > 0 {
					m.send(m.queued[random.IntN(len(m.queued))])
				}
			}
		}
	}
}
