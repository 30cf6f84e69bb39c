package upload

import (
	"context"
	"crypto/md5" // what the storage keeps beside a blob; no secret depends on it
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// checkEvery is after how many bytes the free space is looked at again.
const checkEvery = 1 << 20

// copyIn writes a file into the spool and syncs it. Whatever goes wrong, the
// spool is as before.
func (u *Uploader) copyIn(ctx context.Context, id string, req Request, body io.Reader) (size int64, sum []byte, err error) {
	in := &intake{u: u, ctx: ctx, body: body, want: req.Size, sum: md5.New()}
	defer func() {
		if err != nil {
			u.free(in.size)
			err = fmt.Errorf("upload %s: %w", req.Name, errors.Join(err, u.dir.remove(id, ".part"), u.dir.remove(id, ".data")))
		}
	}()
	if err := in.copyTo(u.dir.path(id, ".part")); err != nil {
		return 0, nil, err
	}
	if err := os.Rename(u.dir.path(id, ".part"), u.dir.path(id, ".data")); err != nil {
		return 0, nil, err
	}
	return in.size, in.sum.Sum(nil), nil
}

// intake is one file that is being copied in.
type intake struct {
	u    *Uploader
	ctx  context.Context
	body io.Reader
	want int64 // bytes, -1 if nobody knows
	size int64 // bytes, so far; they are taken from the spool's bound
	sum  hash.Hash

	buffer [32 << 10]byte
}

func (in *intake) copyTo(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return in.fill(f)
}

// fill writes, syncs and closes a file.
func (in *intake) fill(f *os.File) error {
	err := in.copy(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", err, gateway.ErrFull)
	}
	return err
}

func (in *intake) copy(to io.Writer) error {
	if in.want > 0 {
		if err := in.u.fits(in.want); err != nil {
			return err
		}
	}
	for checked := int64(-checkEvery); ; {
		if in.size-checked >= checkEvery {
			if err := in.u.roomOnDisk(max(in.want-in.size, checkEvery)); err != nil {
				return err
			}
			checked = in.size
		}
		if err := in.ctx.Err(); err != nil {
			return err
		}
		piece, err := in.piece(to)
		if err != nil {
			return err
		}
		if piece == 0 {
			break
		}
	}
	if in.want >= 0 && in.size != in.want {
		return fmt.Errorf("%d bytes came, want %d: %w", in.size, in.want, gateway.ErrInvalid)
	}
	return nil
}

// piece copies some bytes; none at the end.
func (in *intake) piece(to io.Writer) (int, error) {
	n, err := io.ReadFull(in.body, in.buffer[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("the file breaks off: %w", err)
	}
	if err := in.u.take(int64(n)); err != nil {
		return 0, err
	}
	in.size += int64(n)
	in.sum.Write(in.buffer[:n])
	_, err = to.Write(in.buffer[:n])
	return n, err
}

// SetMaxBytes changes the bound, for files that come from now on.
func (u *Uploader) SetMaxBytes(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.opts.MaxBytes = n
}

// take reserves bytes of the spool.
func (u *Uploader) take(n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used+n > u.opts.MaxBytes {
		return u.full(n)
	}
	u.used += n
	return nil
}

// fits is the error if so many bytes are too many.
func (u *Uploader) fits(n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used+n > u.opts.MaxBytes {
		return u.full(n)
	}
	return nil
}

// full is the error for n bytes too many. The caller holds mu.
func (u *Uploader) full(n int64) error {
	return fmt.Errorf("%d bytes do not fit: uploads.max_bytes is %d, and %d bytes wait to be sent: %w", n, u.opts.MaxBytes, u.used, gateway.ErrFull)
}

func (u *Uploader) free(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used -= n
}

// roomOnDisk is the error if n bytes more would touch what has to stay free.
func (u *Uploader) roomOnDisk(n int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(string(u.dir), &st); err != nil {
		return fmt.Errorf("free space of %s: %w", u.dir, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ by platform
	if free-n < u.opts.MinFree {
		return fmt.Errorf("the disk has %d bytes free, of which %d have to stay so: %w", free, u.opts.MinFree, gateway.ErrFull)
	}
	return nil
}
