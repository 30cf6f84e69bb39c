package upload

import (
	"context"
	"io"
)

// flow is the part of a file that is on its way.
type flow struct {
	ctx    context.Context
	from   io.Reader
	pace   Pacer
	passed func(total int64)
	total  int64
}

// pieceBytes is how much goes at once. On a slow line each piece waits for its
// turn.
const pieceBytes = 4 << 10

func (f *flow) Read(p []byte) (int, error) {
	if f.pace != nil {
		if err := f.pace.Wait(f.ctx); err != nil {
			return 0, err
		}
		p = p[:min(len(p), pieceBytes)]
	} else if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.from.Read(p)
	f.total += int64(n)
	if n > 0 {
		f.passed(f.total)
	}
	return n, err
}
