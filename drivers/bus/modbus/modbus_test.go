package modbus

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// tape is a line that answers each request with what is next on it, and is then
// silent.
type tape struct {
	answers [][]byte
	now     []byte
	written [][]byte
	settled []time.Duration
}

func (l *tape) Read(_ context.Context, b []byte) (int, error) {
	if len(l.now) == 0 {
		return 0, context.DeadlineExceeded
	}
	n := copy(b, l.now)
	l.now = l.now[n:]
	return n, nil
}

func (l *tape) Write(_ context.Context, b []byte) error {
	l.written = append(l.written, bytes.Clone(b))
	if len(l.answers) > 0 {
		l.now, l.answers = l.answers[0], l.answers[1:]
	}
	return nil
}

func (l *tape) Settle(_ context.Context, quiet time.Duration) error {
	l.now, l.settled = nil, append(l.settled, quiet)
	return nil
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCRC has frames with checksums that other implementations have made.
func TestCRC(t *testing.T) {
	for _, frame := range []string{"01 03 00 00 00 0a c5 cd", "11 03 00 6b 00 03 76 87", "02 07 41 12", "11 06 00 01 00 03 9a 9b"} {
		b := unhex(t, frame)
		if got := appendCRC(b[: len(b)-2 : len(b)-2]); !bytes.Equal(got, b) {
			t.Errorf("% x, want %s", got, frame)
		}
	}
}

// TestRequests has the examples of V1.1b3, section 6.
func TestRequests(t *testing.T) {
	for _, c := range []struct {
		request      Request
		pdu, answer  string
		values, says string
	}{
		{Read(1, Coils, 0x13, 0x13), "01 0013 0013", "01 03 cd 6b 05", "cd 6b 05", ""},
		{Read(1, Discrete, 0xc4, 0x16), "02 00c4 0016", "02 03 ac db 35", "ac db 35", ""},
		{Read(1, Holding, 0x6b, 3), "03 006b 0003", "03 06 022b 0000 0064", "022b 0000 0064", ""},
		{Read(1, Input, 8, 1), "04 0008 0001", "04 02 000a", "000a", ""},
		{WriteCoil(1, 0xac, true), "05 00ac ff00", "05 00ac ff00", "", ""},
		{WriteRegister(1, 1, 3), "06 0001 0003", "06 0001 0003", "", ""},
		{WriteRegisters(1, 1, []uint16{10, 0x102}), "10 0001 0002 04 000a 0102", "10 0001 0002", "", ""},
		{Read(1, Holding, 0, 1), "03 0000 0001", "83 02", "", "no such address (exception 2)"},
		{Read(1, Holding, 0, 1), "03 0000 0001", "83 63", "", "exception 99"},
		{Read(1, Holding, 0, 1), "03 0000 0001", "04 02 0001", "", "does not fit"},
		{Read(1, Holding, 0, 2), "03 0000 0002", "03 02 0001", "", "does not fit"},
		{Read(1, Holding, 0, 2), "03 0000 0002", "03 02 0001 0002", "", "2 bytes of values; want 4"},
		{WriteRegister(1, 1, 3), "06 0001 0003", "06 0001 0004", "", "confirms"},
	} {
		if !bytes.Equal(c.request.pdu, unhex(t, c.pdu)) {
			t.Errorf("request % x, want %s", c.request.pdu, c.pdu)
		}
		values, err := c.request.values(unhex(t, c.answer))
		if c.says == "" && (err != nil || !bytes.Equal(values, unhex(t, c.values))) {
			t.Errorf("%s: % x, %v; want %s", c.answer, values, err, c.values)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v; want %q", c.answer, err, c.says)
		}
	}
}

func TestExceptionsAreErrorsToDecideOn(t *testing.T) {
	for e, want := range map[Exception]error{IllegalFunction: gateway.ErrInvalid, IllegalAddress: gateway.ErrInvalid, IllegalValue: gateway.ErrInvalid, 10: gateway.ErrUnavailable, 11: gateway.ErrUnavailable} {
		if !errors.Is(e, want) {
			t.Errorf("%v is no %v", e, want)
		}
	}
	if errors.Is(Busy, gateway.ErrInvalid) || errors.Is(Busy, gateway.ErrUnavailable) || !errors.Is(IllegalAddress, IllegalAddress) {
		t.Error("busy is neither invalid nor unavailable")
	}
}

func rtuFrame(t testing.TB, text string) []byte { return appendCRC(unhex(t, text)) }

func TestRTU(t *testing.T) {
	read := Read(0x11, Holding, 0x6b, 1)
	good := rtuFrame(t, "11 03 02 022b")
	bad := bytes.Clone(good)
	bad[4] ^= 1
	for _, c := range []struct {
		name   string
		answer []byte
		wrong  error
		says   string
	}{
		{"good", good, nil, ""},
		{"silence", nil, gateway.ErrTimeout, "no answer from unit 17; check"},
		{"flipped bit", bad, gateway.ErrInvalid, "wrong checksum"},
		{"half", good[:4], gateway.ErrTimeout, "breaks off after 11 03 02 02"},
		{"most", good[:6], gateway.ErrTimeout, "breaks off"},
		{"exception", rtuFrame(t, "11 83 06"), Busy, "busy"},
		{"another unit", rtuFrame(t, "12 03 02 022b"), gateway.ErrInvalid, "unit 18 has answered in place of unit 17"},
		{"another function", rtuFrame(t, "11 04 02 022b"), gateway.ErrInvalid, "does not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &RTU{Line: &tape{answers: [][]byte{c.answer}}, Gap: time.Millisecond}
			values, err := l.Ask(t.Context(), read)
			if c.wrong == nil && (err != nil || !bytes.Equal(values, []byte{2, 0x2b})) {
				t.Errorf("% x, %v", values, err)
			}
			if c.wrong != nil && (!errors.Is(err, c.wrong) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v; want %v with %q", err, c.wrong, c.says)
			}
		})
	}
}

// TestLateAnswers: after silence, what may still come is waited out.
func TestLateAnswers(t *testing.T) {
	line := &tape{answers: [][]byte{nil, rtuFrame(t, "01 03 02 0001"), rtuFrame(t, "01 03 02 0001")}}
	l := &RTU{Line: line, Gap: time.Millisecond}
	for range 3 {
		_, _ = l.Ask(t.Context(), Read(1, Holding, 0, 1))
	}
	if want := []time.Duration{time.Millisecond, lateAnswers, time.Millisecond}; len(line.settled) != 3 || line.settled[1] != want[1] || line.settled[2] != want[2] {
		t.Errorf("settled for %v, want %v", line.settled, want)
	}
}

// TestAnswerToAnEarlierRequest cannot be told from that to another one of its
// shape; so the unit gets its time twice before that is asked.
func TestAnswerToAnEarlierRequest(t *testing.T) {
	const timeout = time.Second
	for _, c := range []struct {
		name    string
		answers [][]byte // to the first request
		then    Request
		quiet   time.Duration
	}{
		{"other registers", nil, Read(1, Holding, 10, 1), timeout},
		{"the same", nil, Read(1, Holding, 0, 1), timeout},
		{"of another length", nil, Read(1, Holding, 10, 2), lateAnswers},
		{"of another unit", nil, Read(2, Holding, 10, 1), lateAnswers},
		{"answered", [][]byte{rtuFrame(t, "01 03 02 0001")}, Read(1, Holding, 10, 1), time.Millisecond},
		{"damaged", [][]byte{unhex(t, "01 03 02 0001 0000")}, Read(1, Holding, 10, 1), lateAnswers},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := &silent{tape{answers: c.answers}}
				l := &RTU{Line: line, Gap: time.Millisecond, Timeout: timeout}
				_, _ = l.Ask(t.Context(), Read(1, Holding, 0, 1))
				_, _ = l.Ask(t.Context(), c.then)
				if got := line.settled[1]; got != c.quiet {
					t.Errorf("settled for %v, want %v", got, c.quiet)
				}
			})
		})
	}
}

// silent is a tape on which silence takes time.
type silent struct{ tape }

func (l *silent) Read(ctx context.Context, b []byte) (int, error) {
	if len(l.now) == 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return l.tape.Read(ctx, b)
}

func (l *silent) Settle(ctx context.Context, quiet time.Duration) error {
	_ = l.tape.Settle(ctx, quiet)
	select {
	case <-time.After(quiet):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestWaitingForSilence is not taken from the time of the unit.
func TestWaitingForSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &silent{tape{answers: [][]byte{nil, rtuFrame(t, "01 03 02 0001")}}}
		l := &RTU{Line: line, Gap: time.Millisecond, Timeout: lateAnswers / 2}
		if _, err := l.Ask(t.Context(), Read(1, Holding, 0, 1)); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("silence: %v", err)
		}
		if _, err := l.Ask(t.Context(), Read(1, Holding, 0, 1)); err != nil {
			t.Errorf("after one answer that did not come: %v", err)
		}
	})
}

// full is a line that takes nothing.
type full struct{ silent }

func (*full) Write(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestLineThatTakesNothing is a unit that cannot be asked, and not the end of the
// time of a caller.
func TestLineThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &RTU{Line: &full{}, Timeout: time.Second}
		if _, err := l.Ask(t.Context(), Read(1, Holding, 0, 1)); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("%v", err)
		}
	})
}

func TestEcho(t *testing.T) {
	request := WriteRegister(1, 1, 3)
	sent := rtuFrame(t, "01 06 0001 0003")
	for _, c := range []struct {
		answer []byte
		wrong  error
	}{
		{append(bytes.Clone(sent), sent...), nil},
		{sent, gateway.ErrTimeout},
		{append([]byte{0}, append(bytes.Clone(sent), sent...)...), gateway.ErrInvalid},
	} {
		l := &RTU{Line: &tape{answers: [][]byte{c.answer}}, Echo: true}
		if _, err := l.Ask(t.Context(), request); !errors.Is(err, c.wrong) {
			t.Errorf("% x: %v, want %v", c.answer, err, c.wrong)
		}
	}
}

// TestTCP answers over a real connection.
func TestTCP(t *testing.T) {
	read := Read(9, Holding, 0, 1)
	for _, c := range []struct {
		name, answer string
		wrong        error
		says         string
	}{
		{"good", "0001 0000 0005 09 03 02 022b", nil, ""},
		{"late one first", "0000 0000 0005 09 03 02 ffff 0001 0000 0005 09 03 02 022b", nil, ""},
		{"another protocol", "4854 5450 2f31 2e31", gateway.ErrInvalid, "no head of Modbus TCP"},
		{"too long", "0001 0000 0fff 09 03 02 022b", gateway.ErrInvalid, "no head"},
		{"another unit", "0001 0000 0005 08 03 02 022b", gateway.ErrInvalid, "unit 8 has answered"},
		{"closed amid the head", "0001 00", gateway.ErrUnavailable, "the connection is gone"},
		{"exception", "0001 0000 0003 09 83 0b", gateway.ErrUnavailable, "does not answer the Modbus gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				if _, err := io.ReadFull(far, make([]byte, 12)); err == nil {
					_, _ = far.Write(unhex(t, c.answer))
				}
			}()
			values, err := (&TCP{Conn: near}).Ask(t.Context(), read)
			if c.wrong == nil && (err != nil || !bytes.Equal(values, []byte{2, 0x2b})) {
				t.Errorf("% x, %v", values, err)
			}
			if c.wrong != nil && (!errors.Is(err, c.wrong) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v; want %v with %q", err, c.wrong, c.says)
			}
		})
	}
}

func TestTCPWaitsNoLongerThanItsContext(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := (&TCP{Conn: near}).Ask(ctx, Read(1, Input, 0, 1)); !errors.Is(err, gateway.ErrTimeout) {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := (&TCP{Conn: near}).Ask(ctx, Read(1, Input, 0, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzRTU(f *testing.F) {
	f.Add(rtuFrame(f, "11 03 02 022b"), byte(3), uint16(1))
	f.Add(rtuFrame(f, "11 83 02"), byte(1), uint16(9))
	f.Add([]byte{}, byte(4), uint16(125))
	f.Fuzz(func(t *testing.T, answer []byte, table byte, count uint16) {
		r := Read(0x11, Table(table%4+1), 0, count%MaxReadRegisters+1)
		values, err := (&RTU{Line: &tape{answers: [][]byte{answer}}}).Ask(t.Context(), r)
		if err == nil && len(values) != r.dataBytes() {
			t.Errorf("%d bytes of values, want %d", len(values), r.dataBytes())
		}
	})
}

// canned is a connection that says one thing.
type canned struct {
	net.Conn
	*bytes.Reader
}

func (c canned) Read(b []byte) (int, error) { return c.Reader.Read(b) }
func (canned) Write(b []byte) (int, error)  { return len(b), nil }
func (canned) SetDeadline(time.Time) error  { return nil }

func FuzzTCP(f *testing.F) {
	f.Add(unhex(f, "0001 0000 0005 09 03 02 022b"), uint16(1))
	f.Add(unhex(f, "0001 0000 0003 09 83 02"), uint16(1))
	f.Fuzz(func(t *testing.T, answer []byte, count uint16) {
		r := Read(9, Holding, 0, count%MaxReadRegisters+1)
		values, err := (&TCP{Conn: canned{Reader: bytes.NewReader(answer)}}).Ask(t.Context(), r)
		if err == nil && len(values) != r.dataBytes() {
			t.Errorf("%d bytes of values, want %d", len(values), r.dataBytes())
		}
	})
}
