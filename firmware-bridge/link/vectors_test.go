package link

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const vectors = "../vectors"

// cases reads a file of vectors: the fields of each line.
func cases(t testing.TB, file string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines [][]string
	scan := bufio.NewScanner(f)
	for scan.Buffer(nil, 1<<20); scan.Scan(); {
		if !strings.HasPrefix(scan.Text(), "#") {
			lines = append(lines, strings.Split(scan.Text(), " "))
		}
	}
	if err := scan.Err(); err != nil || len(lines) < 5 {
		t.Fatalf("%s: %d cases, %v", file, len(lines), err)
	}
	return lines
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string, base int) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, base, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestVectorsCRC(t *testing.T) {
	for _, c := range cases(t, "crc.txt") {
		if got := fmt.Sprintf("%08x", Checksum(unhex(t, c[0]))); got != c[1] {
			t.Errorf("CRC of %.40s is %s, want %s", c[0], got, c[1])
		}
	}
}

func TestVectorsCOBS(t *testing.T) {
	for _, c := range cases(t, "cobs.txt") {
		raw, coded := unhex(t, c[1]), unhex(t, c[2])
		if got := appendCOBS(nil, raw); c[0] == "ok" && !slices.Equal(got, coded) {
			t.Errorf("%.40s encoded is %x, want %s", c[1], got, c[2])
		}
		got, ok := decodeCOBS(slices.Clone(coded))
		if ok != (c[0] != "bad") || ok && !slices.Equal(got, raw) {
			t.Errorf("%.40s decoded is %x, %v, want %s", c[2], got, ok, c[1])
		}
	}
}

func TestVectorsValues(t *testing.T) {
	for _, c := range cases(t, "values.txt") {
		if c[0] == "bad" {
			if v, rest, ok := cutValue(unhex(t, c[1])); ok && len(rest) == 0 {
				t.Errorf("%s: %s was taken for %v", c[2], c[1], v)
			}
			continue
		}
		wire := unhex(t, c[4])
		v, rest, ok := cutValue(append(slices.Clone(wire), 0xEE))
		if !ok || len(rest) != 1 || v.Kind.String() != c[1] || v.Quality != Quality(number(t, c[2], 10)) {
			t.Errorf("%s is %v of quality %d, %v, %d left", c[4], v, v.Quality, ok, len(rest))
			continue
		}
		if got, want := plain(v), string(unhex(t, c[3])); got != want {
			t.Errorf("%s is %q, want %q", c[4], got, want)
		}
		if got := v.Append(nil); !slices.Equal(got, wire) || !v.fits() {
			t.Errorf("%v encoded is %x, want %x", v, got, wire)
		}
	}
}

// plain is a value as the vectors write it.
func plain(v Value) string {
	switch {
	case v.Kind == None:
		return ""
	case v.Kind == Bool && v.Bool:
		return "1"
	case v.Kind == Bool:
		return "0"
	case v.Kind == Float:
		return strconv.FormatFloat(float64(v.Float), 'g', -1, 64)
	}
	return v.String()
}

func TestVectorsFrames(t *testing.T) {
	good := Frame{Version: version, Type: TypePing, Session: 1, Number: 2, Payload: make([]byte, 8)}.Append(nil)
	for _, c := range cases(t, "frames.txt") {
		var s Splitter
		var got []Frame
		take := func(f Frame) {
			f.Payload = slices.Clone(f.Payload)
			got = append(got, f)
		}
		if c[0] == "bad" {
			s.Split(unhex(t, c[1]), take)
			if len(got) != 0 || s.Damaged != 1 {
				t.Errorf("%s: %d good frames, %d damaged", c[2], len(got), s.Damaged)
			}
			if s.Split(good, take); len(got) != 1 {
				t.Errorf("%s: the frame behind it was not found", c[2])
			}
			continue
		}
		want := Frame{version, Type(number(t, c[1], 16)), uint16(number(t, c[2], 16)), uint16(number(t, c[3], 16)), unhex(t, c[4])}
		wire := unhex(t, c[5])
		if b := want.Append(nil); !slices.Equal(b, wire) {
			t.Errorf("%v encoded is %x, want %x", want, b, wire)
		}
		if s.Split(wire, take); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("%s decoded is %v, want %v", c[5], got, want)
		}
	}
}

// TestVectorsPayloads: what the gateway sends is among the frames of the vectors, and
// what a microcontroller says of itself is understood.
func TestVectorsPayloads(t *testing.T) {
	payloads := map[string]Frame{}
	for _, c := range cases(t, "frames.txt") {
		if c[0] == "ok" {
			f := Frame{Version: version, Type: Type(number(t, c[1], 16)), Payload: unhex(t, c[4])}
			payloads[fmt.Sprintf("%v %x", f.Type, f.Payload)] = f
		}
	}
	set := Action{ID: 1, Name: "set", Lease: true, Args: make([]Arg, 1)}
	on, err := doPayload(set, 0, []Value{BoolValue(true)})
	leased, err2 := doPayload(set, 10*time.Minute, []Value{BoolValue(true)})
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	asks := tray(0xFFFFFFFF)
	asks.come(1, 2, 1)
	for _, f := range []Frame{
		{Type: TypeHello, Payload: greeting(false)},
		{Type: TypeDo, Payload: on},
		{Type: TypeDo, Payload: leased},
		{Type: TypeAck, Payload: tray(17).ack()},
		{Type: TypeAck, Payload: asks.ack()},
	} {
		if _, ok := payloads[fmt.Sprintf("%v %x", f.Type, f.Payload)]; !ok {
			t.Errorf("%v %x is not among the vectors", f.Type, f.Payload)
		}
	}
	want := Hello{
		Lowest: 1, Highest: 1, Role: Application, Cause: 1, Features: HasLoader | CanConfirm, Image: Confirmed,
		MaxPayload: 64, Window: 160, Timeout: 5000, Uptime: 1234, Target: 0x328,
	}
	if h, ok := decodeHello(payloads[fmt.Sprintf("%v %x", TypeHello.Answer(), want.Append(nil))]); !ok || h != want {
		t.Errorf("HELLO is %+v, %v, want %+v", h, ok, want)
	}
}

func TestVectorsStreams(t *testing.T) {
	for _, c := range cases(t, "streams.txt") {
		var s Splitter
		good := 0
		for _, b := range unhex(t, c[0]) { // byte by byte, as a UART may give them
			s.Split([]byte{b}, func(Frame) { good++ })
		}
		if good != int(number(t, c[1], 10)) || s.Damaged != number(t, c[2], 10) {
			t.Errorf("%.60s: %d good, %d damaged, want %s and %s", c[0], good, s.Damaged, c[1], c[2])
		}
	}
}

func TestVectorsReadings(t *testing.T) {
	for _, c := range cases(t, "readings.txt") {
		payload := unhex(t, c[1])
		b, ok := decodeBatch(payload)
		if ok != (c[0] == "ok") {
			t.Errorf("%s: %v", c[2], ok)
		}
		if !ok {
			continue
		}
		got := []string{fmt.Sprint(b.first), fmt.Sprint(b.held), fmt.Sprint(b.time)}
		for _, it := range b.items {
			got = append(got, fmt.Sprintf("%d:%d", it.channel, it.delay))
		}
		if !slices.Equal(got, c[2:]) || !slices.Equal(b.encode(), payload) {
			t.Errorf("%s is %v, and again %x", c[1], got, b.encode())
		}
	}
}

func TestVectorsImages(t *testing.T) {
	for _, c := range cases(t, "images.txt") {
		im, size, err := decodeHeader(unhex(t, c[1]))
		if (err == nil) != (c[0] == "ok") {
			t.Errorf("%v: %v", c, err)
		}
		if err != nil {
			continue
		}
		got := []string{fmt.Sprintf("%04x", im.Target), im.Version.String(), fmt.Sprint(size), fmt.Sprintf("%08x", im.CRC)}
		if !slices.Equal(got, c[2:]) {
			t.Errorf("%s is %v, want %v", c[1], got, c[2:])
		}
	}
}

func TestVectorsDescriptor(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vectors, "descriptor-mixer.txt"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDescriptor(text)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "mixer" || d.Version.String() != "1.2.0" || len(d.Channels) != 4 || len(d.Settings) != 2 {
		t.Errorf("the descriptor is %+v", d)
	}
	dose := d.Actions[1]
	if dose.Timeout != 3000 || dose.Lease || len(dose.Args) != 2 || *dose.Args[0].Max != 250 || !slices.Equal(dose.Args[1].OneOf, []string{"oats", "barley"}) {
		t.Errorf("the action is %+v", dose)
	}
}
