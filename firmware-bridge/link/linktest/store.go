package linktest

import (
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// store are the readings that were not acknowledged.
type store struct {
	next  uint32 // number of the next reading
	acked uint32 // the first that was not acknowledged
	held  []reading
	sent  uint32 // the next to be sent

	progress time.Time // of ACK, or the last repetition
	patience time.Duration
	most     int // payload that the gateway takes
}

type reading struct {
	channel uint8
	uptime  uint32
	value   link.Value
}

const leastPatience = 100 * time.Millisecond

func (s *store) oldest() uint32 { return s.next - uint32(len(s.held)) }

// Emit makes a reading and returns its number.
func (m *MCU) Emit(channel uint8, v link.Value) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	room := m.Room
	if room == 0 {
		room = 20
	}
	if len(m.held) == room {
		m.held = m.held[1:]
		if int32(m.sent-m.oldest()) < 0 {
			m.sent = m.oldest()
		}
	}
	m.held = append(m.held, reading{channel, m.uptime(), v})
	m.next++
	return m.next - 1
}

// Held is how many readings wait for their acknowledgement.
func (m *MCU) Held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held)
}

// Log sends a line of the log.
func (m *MCU) Log(level link.Level, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != 0 && !m.inLoader() {
		m.send(link.TypeLog, m.session, m.lines, append(le.AppendUint32([]byte{byte(level)}, m.uptime()), text...))
	}
	m.lines++
}

// sendReadings sends what was not sent yet, and again what was not acknowledged for
// too long.
func (m *MCU) sendReadings(now time.Time) {
	if m.safe || len(m.held) == 0 {
		return
	}
	if m.patience == 0 || m.sent == m.oldest() {
		m.progress, m.patience = now, max(m.patience, leastPatience)
	}
	if now.Sub(m.progress) >= m.patience {
		m.sent, m.progress, m.patience = m.oldest(), now, min(2*m.patience, 2*time.Second)
	}
	for m.sent != m.next {
		m.sendBatch()
	}
}

// sendBatch sends as many readings as fit a frame.
func (m *MCU) sendBatch() {
	from := int(m.sent - m.oldest())
	first := m.held[from]
	payload := le.AppendUint32(nil, m.sent)
	payload = le.AppendUint16(payload, uint16(from))
	payload = le.AppendUint32(payload, first.uptime)
	for _, r := range m.held[from:] {
		item := le.AppendUint16([]byte{r.channel}, uint16(r.uptime-first.uptime))
		item = r.value.Append(item)
		if len(payload) > 10 && (r.uptime-first.uptime > 0xFFFF || len(payload)+len(item) > min(m.most, 64)) {
			break
		}
		payload = append(payload, item...)
		m.sent++
	}
	m.send(link.TypeReadings, m.session, 0, payload)
}

func (m *MCU) takeAck(p []byte) {
	if len(p) != 5 {
		return
	}
	next := le.Uint32(p)
	freed := int32(next - m.oldest())
	if freed < 0 || freed > int32(len(m.held)) {
		return
	}
	m.held, m.acked = m.held[freed:], next
	if freed > 0 {
		m.progress, m.patience = time.Now(), leastPatience
	}
	if p[4] == 1 || int32(m.sent-m.oldest()) < 0 {
		m.sent = m.oldest()
	}
}
