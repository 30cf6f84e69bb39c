package linktest

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

var le = binary.LittleEndian

const tick = 5 * time.Millisecond

// MCU is a simulated microcontroller. What is exported as a field is set before Run;
// methods can be called at any time.
//
// With a loader it runs what is in its flash, and an image is the descriptor that its
// application will have, or [Hanging], or whatever else, which crashes at once.
type MCU struct {
	// Descriptor is that of an application without a loader.
	Descriptor string
	// Version is the one version that it speaks; 0 is 1.
	Version uint8
	// MaxPayload 64, Window 160 and Timeout 5 s are what 0 stands for.
	MaxPayload, Window uint16
	Timeout            time.Duration
	// Room is how many readings are held; 0: 20.
	Room int
	// Do carries out actions; nil: every action is UNKNOWN.
	Do func(action uint8, lease time.Duration, args []link.Value) (link.Status, []link.Value)
	// Loader, if not nil, is the memory of a part with a loader.
	Loader *Flash

	mu      sync.Mutex
	rw      io.ReadWriter
	hung    bool
	cause   link.Cause
	started time.Time
	app     string // the descriptor of what runs; "" in the loader

	session, last uint16
	heard         time.Time // the last frame of the session
	greetedAt     time.Time
	safe          bool // fail-safe has been taken
	failsafes     uint8
	damaged       uint64
	lines         uint16
	done          kept
	settings      map[uint8]link.Value
	store
	loader
}

// kept is the last DO.
type kept struct {
	any    bool
	number uint16
	answer []byte
}

// Run plays the microcontroller at its end of the line, from power on until the line
// ends. It can be called again, with another line: meanwhile it goes on.
func (m *MCU) Run(rw io.ReadWriter) error {
	m.mu.Lock()
	m.rw = rw
	if m.started.IsZero() {
		m.boot(1)
	}
	m.mu.Unlock()
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { m.tick(stop) })
	err := m.listen(rw)
	close(stop)
	ticking.Wait()
	return err
}

func (m *MCU) listen(rw io.Reader) error {
	var split link.Splitter
	b := make([]byte, 256)
	for {
		n, err := rw.Read(b)
		m.mu.Lock()
		split.Split(b[:n], m.take)
		m.damaged = split.Damaged
		m.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (m *MCU) tick(stop chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		m.pass(time.Now())
		m.mu.Unlock()
	}
}

// Reset resets the microcontroller.
func (m *MCU) Reset(cause link.Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boot(cause)
}

// Hang makes it deaf and dumb, or lets it go on.
func (m *MCU) Hang(hung bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hung = hung
}

// Babble sends bytes that are no frame of its own.
func (m *MCU) Babble(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(b)
}

// Safe says whether fail-safe has been taken, and how often since the reset.
func (m *MCU) Safe() (bool, uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.safe, m.failsafes
}

// boot is what a reset does.
func (m *MCU) boot(cause link.Cause) {
	m.cause, m.started, m.hung = cause, time.Now(), false
	m.session, m.last, m.safe, m.failsafes, m.lines = 0, 0, false, 0, 0
	m.done, m.store = kept{}, store{}
	m.app = m.Descriptor
	if m.Loader != nil {
		m.app = ""
		m.enter()
	}
	m.greet()
}

// pass does what is due.
func (m *MCU) pass(now time.Time) {
	switch {
	case m.inLoader():
		m.passLoader(now)
	case m.hung:
		m.passHung(now)
	case m.session == 0:
		if now.Sub(m.greetedAt) >= time.Second {
			m.greet()
		}
		m.passTrial(now)
	default:
		if !m.safe && now.Sub(m.heard) >= m.timeout() {
			m.safe = true
			m.failsafes++
		}
		m.sendReadings(now)
		m.passTrial(now)
	}
}

func (m *MCU) inLoader() bool { return m.Loader != nil && m.app == "" }

func (m *MCU) uptime() uint32 { return uint32(time.Since(m.started).Milliseconds()) }

func (m *MCU) version() uint8 { return max(m.Version, 1) }

func (m *MCU) timeout() time.Duration {
	if m.Timeout == 0 {
		return 5 * time.Second
	}
	return m.Timeout
}

func (m *MCU) hello() link.Hello {
	h := link.Hello{
		Lowest: m.version(), Highest: m.version(), Role: link.Application, Cause: m.cause, Image: link.NoUpdate,
		MaxPayload: max(m.MaxPayload, 64), Window: m.Window, Timeout: uint16(m.timeout().Milliseconds()),
		Last: m.last, Uptime: m.uptime(), Next: m.acked,
		DescriptorLength: uint16(len(m.app)), DescriptorHash: link.Checksum([]byte(m.app)),
	}
	if h.Window == 0 {
		h.Window = 160
	}
	m.helloOfLoader(&h)
	return h
}

func (m *MCU) greet() {
	m.greetedAt = time.Now()
	m.send(link.TypeHello.Answer(), 0, 0, m.hello().Append(nil))
}

func (m *MCU) send(t link.Type, session, number uint16, payload []byte) {
	m.write(link.Frame{Version: m.version(), Type: t, Session: session, Number: number, Payload: payload}.Append(nil))
}

func (m *MCU) write(b []byte) {
	if !m.hung && m.rw != nil {
		_, _ = m.rw.Write(b) // a line that has ended takes nothing
	}
}
