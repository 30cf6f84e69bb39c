package main

import (
	"context"
)

// measureWear commits groups as a board does each second, without waiting in
// between, and counts what that made the process and the device write, closing
// included.
func measureWear(t *task) (figures, error) {
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	if err := syncFiles(t.Dir); err != nil {
		return nil, err
	}
	written, err := writtenBytes()
	if err != nil {
		return nil, err
	}
	device, isDevice := deviceBytes(t.Dir)
	accepted, err := wear(t, from)
	if err != nil {
		return nil, err
	}
	after, err := writtenBytes()
	if err != nil {
		return nil, err
	}
	found := figures{figWritten: float64(after-written) / float64(accepted)}
	if err := syncFiles(t.Dir); err != nil {
		return nil, err
	}
	if deviceAfter, ok := deviceBytes(t.Dir); ok && isDevice {
		found[figDevice] = float64(deviceAfter-device) / float64(accepted)
	}
	return found, nil
}

// wear returns how many bytes of bodies were accepted.
func wear(t *task, from source) (accepted int, err error) {
	a, err := openAppender(t.Engine, t.Dir)
	if err != nil {
		return 0, err
	}
	for n := 0; n < t.Messages; n += t.Group {
		bodies := from.group(t.Group)
		if err := a.append(bodies); err != nil {
			return 0, err
		}
		accepted += bytesOf(bodies)
		if q, ok := a.(queue); ok && t.Acked {
			if err := q.take(context.Background(), len(bodies)); err != nil {
				return 0, err
			}
		}
	}
	return accepted, a.close()
}
