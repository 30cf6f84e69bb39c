//go:build board

package systemtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// disk is one with a cache that loses its content with the power. QEMU speaks to
// it by NBD (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md);
// to kill QEMU alone would lose nothing, since the host keeps what was written.
type disk struct {
	socket string
	file   *os.File
	size   int64

	mu      sync.Mutex
	cached  map[int64][]byte // written and not flushed, by sector
	flushes int
	// left counts the writes until the power goes; negative: it stays.
	left int
	off  chan struct{} // closed when it has gone
}

const (
	sectorBytes = 512
	pageBytes   = 4096 // what flash writes at once
)

// newDisk makes an empty disk that a guest may connect to.
func newDisk(t *testing.T, dir string, size int64) *disk {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "disk"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{socket: filepath.Join(dir, "disk.sock"), file: f, size: size, cached: map[int64][]byte{}, left: -1}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
		f.Close()
	})
	go func() {
		defer close(done)
		for { // one guest at a time
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if err := d.serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Logf("disk: %v", err)
			}
			conn.Close()
		}
	}()
	return d
}

// cutAfter has the power go with a write to come; the channel is closed then.
func (d *disk) cutAfter(writes int) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.off = writes, make(chan struct{})
	return d.off
}

// lose loses what is in the cache, but for a random part of its pages: a disk
// writes them in any order, each whole. It is called once the guest is dead.
func (d *disk) lose(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = -1
	kept := 0
	survives := make(map[int64]bool)
	for sector, data := range d.cached {
		page := sector * sectorBytes / pageBytes
		if _, decided := survives[page]; !decided {
			survives[page] = rand.IntN(2) == 0
		}
		if survives[page] {
			kept++
			d.store(sector, data)
		}
	}
	t.Logf("power cut after %d flushes: of %d sectors in the cache %d were kept", d.flushes, len(d.cached), kept)
	clear(d.cached)
}

func (d *disk) store(sector int64, data []byte) {
	_, _ = d.file.WriteAt(data, sector*sectorBytes) // a failure shows as a loss
}

// serve speaks with one guest: the fixed newstyle handshake, then requests.
func (d *disk) serve(conn net.Conn) error {
	if err := d.greet(conn); err != nil {
		return err
	}
	for {
		var q struct {
			Magic       uint32
			Flags, Kind uint16
			Cookie      uint64
			Offset      int64
			Length      uint32
		}
		if err := binary.Read(conn, binary.BigEndian, &q); err != nil {
			return err
		}
		data := make([]byte, q.Length)
		switch q.Kind {
		case 0: // read
			d.read(data, q.Offset)
		case 1: // write; flag 1 is to be durable at once
			if _, err := io.ReadFull(conn, data); err != nil {
				return err
			}
			if !d.write(data, q.Offset, q.Flags&1 != 0) {
				return nil
			}
			data = nil
		case 2: // the guest goes
			return nil
		case 3:
			if !d.write(nil, 0, true) {
				return nil
			}
			data = nil
		default:
			return fmt.Errorf("request of kind %d", q.Kind)
		}
		answer := binary.BigEndian.AppendUint32(nil, 0x67446698)
		answer = binary.BigEndian.AppendUint32(answer, 0)
		answer = binary.BigEndian.AppendUint64(answer, q.Cookie)
		if _, err := conn.Write(append(answer, data...)); err != nil {
			return err
		}
	}
}

// greet answers the options of the guest until it names an export, by GO (7).
func (d *disk) greet(conn net.Conn) error {
	const flags = 1 | 1<<2 | 1<<3 // there are flags, flushes, and writes that are durable at once
	if _, err := conn.Write(append([]byte("NBDMAGICIHAVEOPT"), 0, 3)); err != nil {
		return err
	}
	if err := binary.Read(conn, binary.BigEndian, new(uint32)); err != nil {
		return err
	}
	for {
		var o struct {
			Magic        uint64
			Kind, Length uint32
		}
		if err := binary.Read(conn, binary.BigEndian, &o); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(o.Length)); err != nil {
			return err
		}
		answer := func(kind uint32, data []byte) error {
			a := binary.BigEndian.AppendUint64(nil, 0x3e889045565a9)
			for _, n := range []uint32{o.Kind, kind, uint32(len(data))} {
				a = binary.BigEndian.AppendUint32(a, n)
			}
			_, err := conn.Write(append(a, data...))
			return err
		}
		if o.Kind != 7 {
			if err := answer(1<<31+1, nil); err != nil { // not known here
				return err
			}
			continue
		}
		export := binary.BigEndian.AppendUint64([]byte{0, 0}, uint64(d.size))
		if err := answer(3, binary.BigEndian.AppendUint16(export, flags)); err != nil {
			return err
		}
		return answer(1, nil)
	}
}

func (d *disk) read(data []byte, offset int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.file.ReadAt(data, offset)
	for at := 0; at < len(data); at += sectorBytes {
		if cached := d.cached[(offset+int64(at))/sectorBytes]; cached != nil {
			copy(data[at:], cached)
		}
	}
}

// write puts whole sectors into the cache, and flushes it if they are to be
// durable. It is false when the power has gone meanwhile.
func (d *disk) write(data []byte, offset int64, durable bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := 0; at < len(data); at += sectorBytes {
		d.cached[(offset+int64(at))/sectorBytes] = data[at : at+sectorBytes]
	}
	if d.left > 0 && len(data) > 0 {
		d.left--
		if d.left == 0 {
			close(d.off)
		}
	}
	if d.left == 0 {
		return false
	}
	if !durable {
		return true
	}
	d.flushes++
	for sector, data := range d.cached {
		d.store(sector, data)
	}
	clear(d.cached)
	return true
}
