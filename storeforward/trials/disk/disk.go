// Package disk is a disk that can lose its power: what was written and not
// flushed lies in a volatile cache, of which a power cut leaves any part.
//
// The disk is one file of a FUSE file system of this process. A loop device
// makes a block device of it, with an ext4 on that. The loop driver turns the
// flushes of the file system into syncs of the file, so that this package knows
// what the kernel takes for safe. Linux, as root.
package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const sectorBytes = 512

// Options of a disk.
type Options struct {
	// Size in bytes, a multiple of 4096.
	Size int64
}

// Stats counts since the disk was made.
type Stats struct {
	Writes, Bytes, Flushes uint64
}

// Disk is the disk. Its methods are safe for concurrent use with the kernel's
// reads and writes, but not with each other.
type Disk struct {
	opts   Options
	dir    string // where the file system with the image is mounted
	server *fuse.Server
	loop   *loop  // the block device, while there is one
	mount  string // where the ext4 is mounted, while it is

	mu         sync.Mutex
	stable     []byte
	cache      map[int64]*[sectorBytes]byte // by sector
	life       *life                        // from one cut to the next
	lying      bool
	failSyncs  bool
	failWrites bool
	stats      Stats
}

// life is the time between two cuts of the power. What the kernel still has
// open from an earlier one is no longer connected to the disk, however long it
// holds on to it.
type life struct{ _ byte }

// Available says why there can be no such disk here; nil if there can.
var Available = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return errors.New("mounting needs root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return fmt.Errorf("%w; install e2fsprogs", err)
	}
	d, err := New(Options{Size: 8 << 20})
	if err != nil {
		return fmt.Errorf("FUSE, loop devices or mounts are not permitted: %w", err)
	}
	dir, err := os.MkdirTemp("", "disk-")
	if err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(d.Mount(dir), d.Unmount(), d.Close(), os.Remove(dir))
})

// New makes a disk with an empty ext4 on it. Close it.
func New(o Options) (_ *Disk, err error) {
	d := &Disk{opts: o, life: new(life), cache: make(map[int64]*[sectorBytes]byte)}
	if d.stable, err = unix.Mmap(-1, 0, int(o.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE); err != nil {
		return nil, fmt.Errorf("disk of %d bytes: %w", o.Size, err)
	}
	if d.dir, err = os.MkdirTemp("", "disk-"); err != nil {
		return nil, err
	}
	d.server, err = fs.Mount(d.dir, &root{disk: d}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "disk", MaxWrite: 1 << 20},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount of the image: %w", err), os.Remove(d.dir), unix.Munmap(d.stable))
	}
	if err := d.format(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Disk) format() error {
	l, err := attach(filepath.Join(d.dir, imageName))
	if err != nil {
		return err
	}
	// All of it at once: what mkfs leaves for later would be done in the trials.
	err = run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", l.path)
	return errors.Join(err, l.detach())
}

func run(name string, args ...string) error {
	if out, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// Mount mounts the ext4. After a cut the kernel replays its journal.
func (d *Disk) Mount(dir string) error {
	l, err := attach(filepath.Join(d.dir, imageName))
	if err != nil {
		return err
	}
	if err := unix.Mount(l.path, dir, "ext4", unix.MS_NOATIME, ""); err != nil {
		return errors.Join(fmt.Errorf("mount: %w", err), l.detach())
	}
	d.loop, d.mount = l, dir
	return nil
}

// Remount changes what is mounted to read-only, or back.
func (d *Disk) Remount(readOnly bool) error {
	flags := uintptr(unix.MS_REMOUNT | unix.MS_NOATIME)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount(d.loop.path, d.mount, "ext4", flags, "")
}

// Unmount is the orderly end; everything is flushed.
func (d *Disk) Unmount() error {
	if d.mount == "" {
		return nil
	}
	if err := retry(func() error { return unix.Unmount(d.mount, 0) }); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	d.mount = ""
	return d.loop.detach()
}

// Cut takes the power away in this instant: of the sectors in the cache each
// survives or not, as r draws it (all, if r is nil), and nothing more is written.
// stop must end every process that has files open there. Then the power is back,
// and the disk can be mounted again.
func (d *Disk) Cut(r *rand.Rand, stop func()) error {
	d.mu.Lock()
	d.life = new(life)
	share := 1.0
	if r != nil {
		share = r.Float64()
	}
	for sector, data := range d.cache {
		if r == nil || r.Float64() < share {
			copy(d.stable[sector*sectorBytes:], data[:])
		}
	}
	clear(d.cache)
	d.mu.Unlock()
	stop()
	return d.abandon()
}

// abandon lets go of the mount and of its device, which the kernel may have for
// some time yet.
func (d *Disk) abandon() error {
	if d.mount == "" {
		return nil
	}
	err := unix.Unmount(d.mount, unix.MNT_DETACH)
	d.mount = ""
	return errors.Join(err, d.loop.close())
}

// Lie makes the disk confirm flushes and do only each eighth, as bad cards do.
func (d *Disk) Lie(lie bool) { d.set(func() { d.lying = lie }) }

// FailSyncs makes flushes fail with EIO from now on, or no longer.
func (d *Disk) FailSyncs(fail bool) { d.set(func() { d.failSyncs = fail }) }

// FailWrites makes writes fail with EIO from now on, or no longer.
func (d *Disk) FailWrites(fail bool) { d.set(func() { d.failWrites = fail }) }

func (d *Disk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// Stats tells what the disk has been asked for.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Close gives everything back.
func (d *Disk) Close() error {
	d.mu.Lock()
	d.life = new(life) // so that nothing waits for the disk any more
	d.mu.Unlock()
	return errors.Join(d.abandon(), retry(d.server.Unmount), os.Remove(d.dir), unix.Munmap(d.stable))
}

// retry does again for half a minute what fails with EBUSY: the kernel, or
// somebody who looks at every disk that appears, still has something open.
func retry(do func() error) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := do()
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

func (d *Disk) read(during *life, dest []byte, off int64) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if during != d.life {
		return syscall.EIO
	}
	copy(dest, d.stable[off:])
	for at := off - off%sectorBytes; at < off+int64(len(dest)); at += sectorBytes {
		data := d.cache[at/sectorBytes]
		switch {
		case data == nil:
		case at < off:
			copy(dest, data[off-at:])
		default:
			copy(dest[at-off:], data[:])
		}
	}
	return 0
}

func (d *Disk) write(during *life, data []byte, off int64) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case during != d.life || d.failWrites:
		return syscall.EIO
	case off+int64(len(data)) > d.opts.Size:
		return syscall.ENOSPC
	}
	d.stats.Writes++
	d.stats.Bytes += uint64(len(data))
	for len(data) > 0 {
		sector, within := off/sectorBytes, off%sectorBytes
		cached := d.cache[sector]
		if cached == nil {
			cached = new([sectorBytes]byte)
			copy(cached[:], d.stable[sector*sectorBytes:])
			d.cache[sector] = cached
		}
		n := copy(cached[within:], data)
		data, off = data[n:], off+int64(n)
	}
	return 0
}

func (d *Disk) flush(during *life) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Flushes++
	switch {
	case during != d.life || d.failSyncs:
		return syscall.EIO
	case d.lying && d.stats.Flushes%8 != 0:
		return 0
	}
	for sector, data := range d.cache {
		copy(d.stable[sector*sectorBytes:], data[:])
	}
	clear(d.cache)
	return 0
}

// imageName is the one file there is.
const imageName = "disk.img"

type root struct {
	fs.Inode
	disk *Disk
}

// OnAdd puts the image into the file system.
func (r *root) OnAdd(ctx context.Context) {
	r.AddChild(imageName, r.NewPersistentInode(ctx, &image{disk: r.disk}, fs.StableAttr{Mode: fuse.S_IFREG}), false)
}

// image is the file that is the disk.
type image struct {
	fs.Inode
	disk *Disk
}

var (
	_ fs.NodeOpener    = (*image)(nil)
	_ fs.NodeReader    = (*image)(nil)
	_ fs.NodeWriter    = (*image)(nil)
	_ fs.NodeFsyncer   = (*image)(nil)
	_ fs.NodeGetattrer = (*image)(nil)
	_ fs.NodeSetattrer = (*image)(nil)
)

// Getattr tells the size.
func (i *image) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = fuse.S_IFREG|0o600, uint64(i.disk.opts.Size)
	return 0
}

// Setattr changes nothing: a disk does not grow.
func (i *image) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return i.Getattr(ctx, f, out)
}

// handle is the image opened in a life of the disk.
type handle struct{ during *life }

func during(f fs.FileHandle) *life {
	if h, ok := f.(*handle); ok {
		return h.during
	}
	return nil
}

// Open keeps the kernel from caching what belongs to the disk.
func (i *image) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	i.disk.mu.Lock()
	defer i.disk.mu.Unlock()
	return &handle{i.disk.life}, fuse.FOPEN_DIRECT_IO, 0
}

func (i *image) Read(_ context.Context, f fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	dest = dest[:max(0, min(int64(len(dest)), i.disk.opts.Size-off))]
	errno := i.disk.read(during(f), dest, off)
	return fuse.ReadResultData(dest), errno
}

func (i *image) Write(_ context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	return uint32(len(data)), i.disk.write(during(f), data, off)
}

// Fsync is what becomes of a flush.
func (i *image) Fsync(_ context.Context, f fs.FileHandle, _ uint32) syscall.Errno {
	return i.disk.flush(during(f))
}
