package attr

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Channel is one value that a chip has.
type Channel interface {
	// Name is that of the channel, for errors.
	Name() string
	Read() (gateway.Reading, error)
}

// ReadAll reads the channels of a chip until ctx ends. One that fails keeps no
// other from being read.
func ReadAll[C Channel](ctx context.Context, channels []C) ([]gateway.Reading, error) {
	var readings []gateway.Reading
	var errs []error
	for _, c := range channels {
		if err := ctx.Err(); err != nil {
			return readings, errors.Join(append(errs, err)...)
		}
		r, err := c.Read()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name(), err))
			continue
		}
		readings = append(readings, r)
	}
	return readings, errors.Join(errs...)
}
