package linktest

import (
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// take takes a frame.
func (m *MCU) take(f link.Frame) {
	now := time.Now()
	switch {
	case m.hung:
	case f.Type == link.TypeHello:
		m.takeHello(f)
	case m.session == 0:
		if !m.inLoader() && now.Sub(m.greetedAt) >= 250*time.Millisecond {
			m.greet()
		}
	case f.Session != m.session || f.Version != m.version():
	case f.Type == link.TypeAck:
		m.hear()
		m.takeAck(f.Payload)
	case f.Type < 0x60:
		m.hear()
		m.answer(f)
	}
}

// hear notes a frame of the session.
func (m *MCU) hear() {
	m.heard = time.Now()
	if m.safe {
		m.safe = false
		m.sent = m.oldest()
	}
	m.hearInLoader()
}

func (m *MCU) takeHello(f link.Frame) {
	p := f.Payload
	if len(p) < 4 {
		return
	}
	if p[0] <= m.version() && f.Version >= m.version() && f.Session != 0 {
		if f.Session != m.session {
			m.last, m.session = m.session, f.Session
			m.done, m.sent, m.patience = kept{}, m.oldest(), 0
			m.begun = nil
		}
		m.most = int(le.Uint16(p[2:]))
		m.hear()
		m.keep(p[1]&1 != 0)
	}
	m.send(link.TypeHello.Answer(), f.Session, f.Number, m.hello().Append(nil))
}

// answer carries out a request and answers it.
func (m *MCU) answer(f link.Frame) {
	var body []byte
	if f.Type == link.TypeDo && !m.inLoader() {
		body = m.once(f)
	} else {
		body = m.carryOut(f.Type, f.Payload)
	}
	if m.session != f.Session {
		return // it was reset meanwhile
	}
	m.send(f.Type.Answer(), f.Session, f.Number, body)
	if body[0] == 0 {
		m.after(f.Type)
	}
}

// once carries out a DO, or answers it again.
func (m *MCU) once(f link.Frame) []byte {
	switch d := f.Number - m.done.number; {
	case m.done.any && d == 0:
	case m.done.any && d >= 0x8000:
		return []byte{byte(link.Stale)}
	default:
		m.done = kept{true, f.Number, m.do(f.Payload)}
	}
	return m.done.answer
}

func (m *MCU) do(p []byte) []byte {
	if len(p) < 5 {
		return []byte{byte(link.Invalid)}
	}
	args, ok := link.DecodeValues(p[5:])
	if !ok {
		return []byte{byte(link.Invalid)}
	}
	if m.Do == nil {
		return []byte{byte(link.Unknown)}
	}
	status, values := m.Do(p[0], time.Duration(le.Uint32(p[1:]))*time.Millisecond, args)
	body := []byte{byte(status)}
	for _, v := range values {
		body = v.Append(body)
	}
	return body
}

// carryOut does what is done each time that it comes.
func (m *MCU) carryOut(t link.Type, p []byte) []byte {
	status := func(s link.Status) []byte { return []byte{byte(s)} }
	switch {
	case m.inLoader() || t >= link.TypeLoader:
		return m.carryOutUpdate(t, p)
	case t == link.TypePing && len(p) == 8:
		body := append(le.AppendUint32(status(link.OK), m.uptime()), m.failsafes)
		return le.AppendUint16(body, uint16(m.damaged))
	case t == link.TypeDescribe && len(p) == 2:
		from := int(le.Uint16(p))
		if from >= len(m.app) {
			return status(link.Invalid)
		}
		return append(status(link.OK), m.app[from:min(from+63, len(m.app))]...)
	case t == link.TypeGet && len(p) == 1:
		return m.settings[p[0]].Append(status(link.OK))
	case t == link.TypeSet && len(p) >= 2:
		values, ok := link.DecodeValues(p[1:])
		if !ok || len(values) != 1 {
			return status(link.Invalid)
		}
		if m.settings == nil {
			m.settings = map[uint8]link.Value{}
		}
		m.settings[p[0]] = values[0]
		return values[0].Append(status(link.OK))
	case slices.Contains([]link.Type{link.TypePing, link.TypeDescribe, link.TypeGet, link.TypeSet}, t):
		return status(link.Invalid)
	}
	return status(link.Unsupported)
}
