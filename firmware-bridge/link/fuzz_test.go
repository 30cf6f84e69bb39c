package link

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// seed takes the bytes out of a case, which stand in the given field of a good one.
func seed(f *testing.F, c []string, field int) []byte {
	if c[0] == "bad" {
		field = 1
	}
	return unhex(f, c[field])
}

// FuzzSplitter: whatever comes, a frame behind it is found, and good frames are
// those whose encoding is in it.
func FuzzSplitter(f *testing.F) {
	for _, c := range cases(f, "streams.txt") {
		f.Add(unhex(f, c[0]))
	}
	for _, c := range cases(f, "frames.txt") {
		f.Add(seed(f, c, 5))
	}
	sign := Frame{Version: version, Type: TypeLog, Session: 7, Number: 9, Payload: []byte("it goes on")}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Splitter
		last := ""
		s.Split(sign.Append(b[:len(b):len(b)]), func(f Frame) {
			if len(f.Payload) > mostPayload {
				t.Fatalf("a payload of %d bytes", len(f.Payload))
			}
			again, ok := decodeFrame(bytes.Trim(f.Append(nil), "\x00"))
			if !ok || fmt.Sprint(again) != fmt.Sprint(f) {
				t.Fatalf("%v comes back as %v", f, again)
			}
			last = fmt.Sprint(f)
		})
		if last != fmt.Sprint(sign) {
			t.Fatalf("the last frame is %s", last)
		}
		if cap(s.buf) > 2*mostEncoded {
			t.Fatalf("%d bytes are held", cap(s.buf))
		}
	})
}

func FuzzCOBS(f *testing.F) {
	for _, c := range cases(f, "cobs.txt") {
		f.Add(unhex(f, c[1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		coded := appendCOBS(nil, b)
		if bytes.IndexByte(coded, 0) >= 0 || len(coded) > len(b)+len(b)/254+1 {
			t.Fatalf("%x encoded is %x", b, coded)
		}
		if got, ok := decodeCOBS(coded); !ok || !bytes.Equal(got, b) {
			t.Fatalf("%x comes back as %x", b, got)
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, c := range cases(f, "values.txt") {
		f.Add(seed(f, c, 4))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, ok := DecodeValues(b)
		if !ok {
			return
		}
		var again []byte
		for _, v := range values {
			if !v.fits() {
				t.Fatalf("%+v was decoded and cannot be sent", v)
			}
			again = v.Append(again)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x comes back as %x", b, again)
		}
	})
}

// FuzzPayloads: payloads of a hostile peer are refused or understood, and what is
// understood comes back the same.
func FuzzPayloads(f *testing.F) {
	for _, c := range cases(f, "readings.txt") {
		f.Add(unhex(f, c[1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if batch, ok := decodeBatch(b); ok && !bytes.Equal(batch.encode(), b) {
			t.Fatalf("readings %x come back as %x", b, batch.encode())
		}
		if h, ok := decodeHello(Frame{Payload: b}); ok && !bytes.Equal(h.Append(nil)[6:], b[6:helloSize]) {
			t.Fatalf("HELLO %x comes back as %x", b, h.Append(nil))
		}
		if p, ok := decodePong(b); ok && !bytes.Equal(p.encode(), b[:7]) {
			t.Fatalf("PING's answer %x comes back as %x", b, p.encode())
		}
		if level, _, text, ok := decodeLog(b); ok && (level > Error || len(text) > 3*len(b)) {
			t.Fatalf("log %x is %v %q", b, level, text)
		}
		decodeHeader(b)
	})
}

func FuzzDescriptor(f *testing.F) {
	text, err := os.ReadFile(filepath.Join(vectors, "descriptor-mixer.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("device name=a\nfirmware name=b version=1.2.3\nnew key key=\"a = b\"\naction id=0 name=c\narg name=d type=int min=-1 max=2.5\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDescriptor(b)
		if (d == nil) == (err == nil) {
			t.Fatalf("%v and %v", d, err)
		}
		if d != nil && (d.Name == "" || d.Firmware == "") {
			t.Fatalf("%q has no names: %+v", b, d)
		}
	})
}

func (b batch) encode() []byte {
	var dst []byte
	dst = le.AppendUint32(dst, b.first)
	dst = le.AppendUint16(dst, b.held)
	dst = le.AppendUint32(dst, b.time)
	for _, it := range b.items {
		dst = le.AppendUint16(append(dst, it.channel), it.delay)
		dst = it.value.Append(dst)
	}
	return dst
}

func (p pong) encode() []byte {
	dst := append(le.AppendUint32(nil, p.uptime), p.failsafes)
	return le.AppendUint16(dst, p.errors)
}
