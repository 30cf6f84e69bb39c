package storeforward

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// witness is a small file beside the store that knows how far the store has
// come. A store that knows less than its witness, or that comes without it, was
// restored from a copy or has lost its end; either way it must not give its
// sequence numbers out once more. It is written with each commit, without a
// sync: after a power cut it may know less than the store, never more.
type witness struct {
	mu   sync.Mutex
	file *os.File
	// begun is when this run began, written what the store has written to the
	// card before it, deaths how many runs before it ended soon and badly.
	begun   time.Time
	written uint64
	deaths  uint32
	// device is what this process had written when it was looked at: asking the
	// kernel costs as much as a small commit.
	device   uint64
	deviceAt time.Time
}

// testimony is what a witness has to say.
type testimony struct {
	store   string
	written uint64 // bytes, in the life of the store
	deaths  uint32
	commit  uint32 // number of the last transaction that was confirmed
	lanes   map[gateway.Lane]standing
}

// standing is how far a lane has come: what has left it for certain, and the
// sequence number of the next message.
type standing struct{ acked, next uint64 }

const (
	witnessMagic    = "fpw1"
	testimonyHeader = 26
	// soundAfter is how long a run must last to be no sign of trouble.
	soundAfter = 10 * time.Minute
	// maxDeaths is how many runs in a row may end badly before the store is
	// looked through: damage can be what kills them.
	maxDeaths = 2
)

func witnessPath(dir string) string { return dir + ".witness" }

func (t testimony) encode() []byte {
	buf := make([]byte, testimonyHeader, 256)
	copy(buf, witnessMagic)
	_, _ = hex.Decode(buf[4:10], []byte(t.store))
	binary.LittleEndian.PutUint64(buf[10:], t.written)
	binary.LittleEndian.PutUint32(buf[18:], t.deaths)
	binary.LittleEndian.PutUint32(buf[22:], t.commit)
	buf = binary.AppendUvarint(buf, uint64(len(t.lanes)))
	for name, s := range t.lanes {
		buf = appendString(buf, string(name))
		buf = binary.AppendUvarint(buf, s.acked)
		buf = binary.AppendUvarint(buf, s.next)
	}
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli))
}

func decodeTestimony(data []byte) (testimony, error) {
	if len(data) < testimonyHeader || string(data[:4]) != witnessMagic {
		return testimony{}, fmt.Errorf("witness: %w", errDamaged)
	}
	t := testimony{
		store: hex.EncodeToString(data[4:10]), written: binary.LittleEndian.Uint64(data[10:]),
		deaths: binary.LittleEndian.Uint32(data[18:]), commit: binary.LittleEndian.Uint32(data[22:]),
		lanes: make(map[gateway.Lane]standing),
	}
	d := decoder{data: data[testimonyHeader:]}
	n := d.uvarint()
	for range min(n, maxLanes+1) {
		t.lanes[gateway.Lane(d.string())] = standing{d.uvarint(), d.uvarint()}
	}
	sum := crc32.Checksum(data[:len(data)-len(d.data)], castagnoli)
	if d.err != nil || n > maxLanes || len(d.data) < 4 || binary.LittleEndian.Uint32(d.data) != sum {
		return testimony{}, fmt.Errorf("witness: %w", errDamaged)
	}
	return t, nil
}

// hear reads the witness of a store; a nil testimony says that it cannot be
// read.
func hear(path string) (*testimony, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := decodeTestimony(data)
	if err != nil {
		return nil, nil //nolint:nilerr // torn by a power cut: it says nothing
	}
	return &t, nil
}

// countRun changes the number of runs that ended badly, if there is a witness
// that can be read: by 1 before the engine is opened, since it can kill the
// process at any moment, and by -1 if Open gives it up.
func countRun(path string, by int) error {
	t, err := hear(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && t == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("witness of the store: %w", err)
	}
	if by < 0 && t.deaths == 0 {
		return nil
	}
	t.deaths = uint32(int64(t.deaths) + int64(by))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("witness of the store: %w", err)
	}
	_, err = f.WriteAt(t.encode(), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("witness of the store: %w", err)
	}
	return nil
}

// fingerprint tells a file from its copies, and a board from others.
type fingerprint struct {
	Inode uint64 `json:"inode"`
	Born  int64  `json:"born"` // nanoseconds since 1970; 0 if the file system does not know
	Board string `json:"board"`
}

// steady are the file systems that keep the inode number of a file for ever.
var steady = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
}

func takeFingerprint(path, board string) (fingerprint, error) {
	f := fingerprint{Board: board}
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if !steady[int64(disk.Type)] { //nolint:unconvert // the type differs by platform
		return f, nil
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	f.Inode = st.Ino
	if st.Mask&unix.STATX_BTIME != 0 {
		f.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return f, nil
}

// boardName is made of what tells one board from another, even if both have
// been flashed with one image.
func boardName() string {
	h := sha256.New()
	for _, path := range []string{"/etc/machine-id", "/sys/firmware/devicetree/base/serial-number"} {
		data, _ := os.ReadFile(path) // what is not there does not count
		fmt.Fprintf(h, "%q\n", strings.Trim(string(data), "\x00\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// openWitness opens the file, makes it if it is missing, and sees to it that
// it is on disk.
func openWitness(path string) (*witness, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("witness of the store: %w", err)
	}
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("witness of the store: %w", err), f.Close())
	}
	return &witness{file: f, begun: time.Now()}, nil
}

// note writes down how far the store has come.
func (w *witness) note(q *Queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	deaths := w.deaths + 1
	if time.Since(w.begun) > soundAfter {
		deaths = 0
	}
	if err := w.write(q, deaths); err != nil {
		q.log.Debug("witness of the store not written", "error", err) // it only knows less
	}
}

func (w *witness) write(q *Queue, deaths uint32) error {
	if now := time.Now(); now.Sub(w.deviceAt) >= time.Second {
		w.device, w.deviceAt = deviceWritten(), now
	}
	t := testimony{store: q.store, deaths: deaths, commit: q.confirmed.Load(), written: w.written + w.device - q.writtenBefore, lanes: make(map[gateway.Lane]standing)}
	q.mu.Lock()
	for name, l := range q.own {
		if next := l.next(); next > 1 {
			t.lanes[name] = standing{l.acked, next}
		}
	}
	q.mu.Unlock()
	_, err := w.file.WriteAt(t.encode(), 0)
	return err
}

// abandon closes the witness of a store that was not opened in the end.
func (w *witness) abandon() error {
	if w == nil {
		return nil
	}
	return w.file.Close()
}

// close notes that this run has not died.
func (w *witness) close(q *Queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deviceAt = time.Time{}
	if err := errors.Join(w.write(q, 0), w.file.Close()); err != nil {
		q.log.Debug("witness of the store not written", "error", err)
	}
}
