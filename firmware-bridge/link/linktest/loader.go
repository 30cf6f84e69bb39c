package linktest

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

const (
	// Hanging is an image that comes up and does nothing.
	Hanging = "hang"

	block       = 128
	listenTime  = 500 * time.Millisecond
	stayTime    = 10 * time.Second
	trialTime   = time.Minute
	watchdog    = 8 * time.Second
	marked      = 0xA5
	trial       = 0xA7
	imageHeader = 56
)

// Flash is the memory of a part with a loader: it survives resets.
type Flash struct {
	Target uint16
	// Mark is what the loader knows of the image: A5 confirmed, A7 on trial.
	Mark byte
	// Bytes are the room for the image.
	Bytes []byte
	// CutAfter is after how many blocks written the power is cut, in the middle of
	// the next one; 0: never. It counts down.
	CutAfter int
	// Writes counts blocks written.
	Writes int
	// Stubborn is an application that answers LOADER and stays.
	Stubborn bool
}

// NewFlash is a flash memory with an application in it.
func NewFlash(target uint16, room int, descriptor string) *Flash {
	f := &Flash{Target: target, Mark: marked, Bytes: bytes.Repeat([]byte{0xFF}, room)}
	copy(f.Bytes, descriptor)
	return f
}

// Runs is the image in the flash, to its first unwritten byte.
func (f *Flash) Runs() string {
	text, _, _ := bytes.Cut(f.Bytes, []byte{0xFF})
	return string(text)
}

// loader is what the loader keeps in RAM.
type loader struct {
	until time.Time // when it starts a confirmed image
	stay  bool
	begun []byte // the header of BEGIN
}

// Memory hands the memory of the part to f, while the microcontroller stands still.
func (m *MCU) Memory(f func(*Flash)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.Loader)
}

// InLoader says whether the loader runs.
func (m *MCU) InLoader() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inLoader()
}

func (m *MCU) enter() {
	m.loader = loader{until: time.Now().Add(listenTime)}
}

func (m *MCU) keep(stay bool) {
	m.stay = stay
	m.until = time.Now().Add(listenTime)
	m.hearInLoader()
}

func (m *MCU) hearInLoader() {
	if m.stay {
		m.until = time.Now().Add(stayTime)
	}
}

func (m *MCU) passLoader(now time.Time) {
	if m.Loader.Mark == marked && !now.Before(m.until) {
		m.start()
	}
}

// start starts the image.
func (m *MCU) start() {
	m.session, m.last, m.app = 0, 0, m.Loader.Runs()
	m.started = time.Now()
	switch {
	case m.app == Hanging:
		m.hung = true
	case !strings.HasPrefix(m.app, "device "):
		m.boot(4)
		return
	}
	m.greet()
}

// passHung is the watchdog.
func (m *MCU) passHung(now time.Time) {
	if m.Loader != nil && m.app == Hanging && now.Sub(m.started) >= watchdog {
		m.boot(4)
	}
}

func (m *MCU) passTrial(now time.Time) {
	if m.Loader != nil && m.Loader.Mark == trial && now.Sub(m.started) >= trialTime {
		m.boot(4)
	}
}

func (m *MCU) helloOfLoader(h *link.Hello) {
	if m.Loader == nil {
		return
	}
	h.Target = m.Loader.Target
	h.Features = link.HasLoader | link.CanConfirm
	switch m.Loader.Mark {
	case marked:
		h.Image = link.Confirmed
	case trial:
		h.Image = link.OnTrial
	default:
		h.Image = link.NoImage
	}
	if m.inLoader() {
		h.Role, h.Features = link.Loader, link.CanUpdate|link.ChecksHash
		h.MaxPayload, h.Window, h.Timeout = block+4, 0, uint16(stayTime.Milliseconds())
		h.Last, h.Uptime, h.Next, h.DescriptorLength, h.DescriptorHash = 0, 0, 0, 0, 0
	}
}

// carryOutUpdate answers what belongs to updates, and in the loader everything.
func (m *MCU) carryOutUpdate(t link.Type, p []byte) []byte {
	status := link.Unsupported
	switch {
	case m.Loader == nil:
	case !m.inLoader():
		switch t {
		case link.TypeLoader:
			status = link.OK
		case link.TypeConfirm:
			m.Loader.Mark, status = marked, link.OK
		}
	case t == link.TypeBegin:
		if status = m.beginImage(p); status == link.OK {
			return le.AppendUint16([]byte{0}, block)
		}
	case t == link.TypeRun:
		if status = link.State; m.Loader.Mark == marked || m.Loader.Mark == trial {
			status = link.OK
		}
	case t == link.TypeCheck || t == link.TypeData || t == link.TypeFinish:
		if status = link.State; m.begun != nil {
			return m.carryOutImage(t, p)
		}
	}
	return []byte{byte(status)}
}

func (m *MCU) beginImage(p []byte) link.Status {
	switch {
	case len(p) != imageHeader || string(p[:4]) != "FPFW" || p[4] != 1 || p[5] != 0:
		return link.Invalid
	case le.Uint16(p[6:]) != m.Loader.Target:
		return link.Target
	case le.Uint32(p[12:]) == 0 || int64(le.Uint32(p[12:])) > int64(len(m.Loader.Bytes)):
		return link.Size
	}
	m.begun = bytes.Clone(p)
	return link.OK
}

func (m *MCU) carryOutImage(t link.Type, p []byte) []byte {
	f := m.Loader
	size := int(le.Uint32(m.begun[12:]))
	switch t {
	case link.TypeCheck:
		if len(p) != 8 || le.Uint32(p[4:]) == 0 || uint64(le.Uint32(p))+uint64(le.Uint32(p[4:])) > uint64(len(f.Bytes)) {
			return []byte{byte(link.Invalid)}
		}
		from := int(le.Uint32(p))
		return le.AppendUint32([]byte{0}, link.Checksum(f.Bytes[from:from+int(le.Uint32(p[4:]))]))
	case link.TypeData:
		if len(p) != 4+block || le.Uint32(p)%block != 0 || int64(le.Uint32(p)) >= int64(size) {
			return []byte{byte(link.Invalid)}
		}
		m.program(int(le.Uint32(p)), p[4:])
		return []byte{0}
	}
	if sha256.Sum256(f.Bytes[:size]) != [32]byte(m.begun[24:]) {
		return []byte{byte(link.Hash)}
	}
	f.Mark = trial
	return []byte{0}
}

// program writes a block, or half of it if the power is cut.
func (m *MCU) program(at int, data []byte) {
	f := m.Loader
	if bytes.Equal(f.Bytes[at:at+block], data) {
		return
	}
	f.Mark = 0xFF
	if f.CutAfter > 0 {
		if f.CutAfter--; f.CutAfter == 0 {
			copy(f.Bytes[at:], data[:block/2])
			m.boot(1)
			return
		}
	}
	copy(f.Bytes[at:], data)
	f.Writes++
}

// after does what comes behind the answer.
func (m *MCU) after(t link.Type) {
	switch {
	case t == link.TypeLoader && !m.Loader.Stubborn:
		m.boot(4)
	case t == link.TypeRun && m.inLoader():
		m.start()
	}
}
