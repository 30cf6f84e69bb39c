package hubsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// blobs is the storage: a directory for each blob, with its content, the block
// list of that, and the blocks that are staged and not committed.
type blobs struct {
	dir string
	mu  sync.Mutex // held while the parts of a blob are put in place
}

// blobInfo is what is known of a committed blob.
type blobInfo struct {
	Name        string    `json:"name"`
	Size        int64     `json:"size"`
	ContentType string    `json:"content_type,omitempty"`
	MD5         string    `json:"content_md5,omitempty"` // as the writer has it
	ETag        string    `json:"etag"`
	Modified    time.Time `json:"modified"`
	Blocks      []block   `json:"blocks,omitempty"`
}

// block is a part of a blob. Its id is base64.
type block struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
}

const (
	// maxBlockBytes is less than the storage takes; more is not simulated.
	maxBlockBytes = 100 << 20
	// maxBlocks is how many blocks a blob may have.
	maxBlocks = 50_000
	// maxBlockID is the length of an id before base64.
	maxBlockID = 64
)

var (
	errNoBlob    = errors.New("the specified blob does not exist")
	errBlockID   = errors.New("a block id is base64 of 1 to 64 bytes, and as long as those of the other blocks")
	errBlockList = errors.New("the block list names a block that is not there")
)

func openBlobs(dir string) (*blobs, error) { return &blobs{dir: dir}, os.MkdirAll(dir, 0o700) }

// place is the directory of a blob.
func (b *blobs) place(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(b.dir, hex.EncodeToString(sum[:16]))
}

func (b *blobs) staged(name, id string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(id)
	if err != nil || len(raw) == 0 || len(raw) > maxBlockID {
		return "", errBlockID
	}
	return filepath.Join(b.place(name), "staged", hex.EncodeToString(raw)), nil
}

// receive writes size bytes to a new file beside the blobs.
func (b *blobs) receive(body io.Reader, size int64) (path string, err error) {
	f, err := os.CreateTemp(b.dir, ".incoming-*")
	if err != nil {
		return "", err
	}
	n, err := io.Copy(f, io.LimitReader(body, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// stage keeps a block until it is committed.
func (b *blobs) stage(name, id, received string) error {
	path, err := b.staged(name, id)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	others, err := b.uncommitted(name)
	if err != nil {
		return err
	}
	if len(others) > 0 && len(others[0].ID) != len(id) {
		return errBlockID
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(received, path)
}

// uncommitted lists the staged blocks by id. The caller holds the mutex.
func (b *blobs) uncommitted(name string) ([]block, error) {
	entries, err := os.ReadDir(filepath.Join(b.place(name), "staged"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []block
	for _, e := range entries {
		raw, fault := hex.DecodeString(e.Name())
		info, fault2 := e.Info()
		if fault = errors.Join(fault, fault2); fault != nil {
			return nil, fault
		}
		list = append(list, block{ID: base64.StdEncoding.EncodeToString(raw), Size: info.Size()})
	}
	return list, err
}

// info returns what is known of a committed blob.
func (b *blobs) info(name string) (blobInfo, error) {
	var i blobInfo
	data, err := os.ReadFile(filepath.Join(b.place(name), "info.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return i, errNoBlob
	}
	if err == nil {
		err = json.Unmarshal(data, &i)
	}
	return i, err
}

// size is that of a committed blob; -1 if there is none.
func (b *blobs) size(name string) int64 {
	i, err := b.info(name)
	if err != nil {
		return -1
	}
	return i.Size
}

// list returns the blocks of a blob, committed and not. The error is errNoBlob
// if there are neither.
func (b *blobs) list(name string) (committed, uncommitted []block, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, err := b.info(name)
	if err != nil && !errors.Is(err, errNoBlob) {
		return nil, nil, err
	}
	uncommitted, fault := b.uncommitted(name)
	if fault != nil {
		return nil, nil, fault
	}
	if len(uncommitted) > 0 {
		err = nil
	}
	return i.Blocks, uncommitted, err
}

// blockRef names a block in a block list, and where to look for it.
type blockRef struct {
	id   string
	from string // Committed, Uncommitted or Latest
}

// commit makes a blob of blocks; what else is staged is dropped.
func (b *blobs) commit(name string, refs []blockRef, i blobInfo) (blobInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	place := b.place(name)
	f, err := os.CreateTemp(b.dir, ".incoming-*")
	if err != nil {
		return i, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has been renamed if all went well
	for _, ref := range refs {
		size, err := b.copyBlock(f, name, ref)
		if err != nil {
			return i, errors.Join(err, f.Close())
		}
		i.Blocks = append(i.Blocks, block{ID: ref.id, Size: size})
		i.Size += size
	}
	if err := f.Close(); err != nil {
		return i, err
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return i, err
	}
	return i, b.finish(place, name, f.Name(), &i)
}

// put makes a blob of a file that was received as a whole.
func (b *blobs) put(name, received string, i blobInfo) (blobInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stat, err := os.Stat(received)
	if err != nil {
		return i, err
	}
	i.Size = stat.Size()
	place := b.place(name)
	if err := os.MkdirAll(place, 0o700); err != nil {
		return i, err
	}
	return i, b.finish(place, name, received, &i)
}

// finish puts the content in place and writes down what it is.
func (b *blobs) finish(place, name, content string, i *blobInfo) error {
	i.Name, i.ETag, i.Modified = name, "0x8D"+strings.ToUpper(randomHex(6)), time.Now().UTC()
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return errors.Join(
		os.Rename(content, filepath.Join(place, "content")),
		writeFile(filepath.Join(place, "info.json"), append(data, '\n'), 0o600),
		os.RemoveAll(filepath.Join(place, "staged")))
}

// copyBlock appends a block to the content that is being made.
func (b *blobs) copyBlock(to io.Writer, name string, ref blockRef) (int64, error) {
	if ref.from != "Committed" {
		path, err := b.staged(name, ref.id)
		if err != nil {
			return 0, err
		}
		f, err := os.Open(path)
		if err == nil {
			defer f.Close() //nolint:errcheck // it was only read
			return io.Copy(to, f)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if ref.from == "Uncommitted" {
			return 0, errBlockList
		}
	}
	return b.copyCommitted(to, name, ref.id)
}

func (b *blobs) copyCommitted(to io.Writer, name, id string) (int64, error) {
	i, err := b.info(name)
	if err != nil && !errors.Is(err, errNoBlob) {
		return 0, err
	}
	n := slices.IndexFunc(i.Blocks, func(x block) bool { return x.ID == id })
	if n < 0 {
		return 0, errBlockList
	}
	f, err := b.open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	offset := int64(0)
	for _, before := range i.Blocks[:n] {
		offset += before.Size
	}
	return io.Copy(to, io.NewSectionReader(f, offset, i.Blocks[n].Size))
}

// open opens the content of a committed blob.
func (b *blobs) open(name string) (*os.File, error) {
	return os.Open(filepath.Join(b.place(name), "content"))
}

// blobToken is the query of a URL that lets a device write and read one blob
// until a moment.
func (h *Hub) blobToken(blob string, expires time.Time) string {
	se := expires.UTC().Format("2006-01-02T15:04:05Z")
	return "?sv=2020-10-02&sr=b&se=" + escape(se) + "&sp=rw&sig=" + escape(h.signBlob(blob, se))
}

func (h *Hub) signBlob(blob, se string) string {
	key := sha256.Sum256([]byte("storage of " + h.secrets.GroupKey))
	return base64.StdEncoding.EncodeToString(sign(key[:], strings.Join([]string{"/" + container + "/" + blob, "rw", se}, "\n")))
}

// container is the one container of the storage.
const container = "uploads"

// blobPath is the path of a blob in URLs.
func blobPath(blob string) string {
	var b bytes.Buffer
	b.WriteString("/" + container)
	for segment := range strings.SplitSeq(blob, "/") {
		fmt.Fprintf(&b, "/%s", escape(segment))
	}
	return b.String()
}
