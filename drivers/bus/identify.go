package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// ErrNotOpen is the answer of a device that is asked before Open or after Close.
var ErrNotOpen = fmt.Errorf("it is not open: %w", gateway.ErrUnavailable)

// Identify asks the chip at an address for its id and returns which of the
// chips, which must have ids, it is. If nobody answers, the error says where one
// of them does; if somebody else answers, it says who, as far as that is one of
// the others, which a driver names because they are mistaken for its own. Both
// wrap gateway.ErrUnavailable.
//
// Nothing is asked but what the chips have as their Ask, and only at addresses
// that they can have.
func (b *I2C) Identify(ctx context.Context, address uint16, chips []Chip, others ...Chip) (Chip, error) {
	var answers []string
	var stranger error
	for i, c := range slices.Concat(chips, others) {
		if !slices.Contains(c.Addresses, address) {
			continue
		}
		mine := i < len(chips)
		answer, err := b.ask(ctx, address, c)
		switch {
		case errors.Is(err, ErrNoAnswer):
			continue // nobody is there, or nobody who knows this question
		case err != nil:
			return Chip{}, err
		case c.Is(answer) && mine:
			return c, nil
		case c.Is(answer) && stranger == nil:
			stranger = fmt.Errorf("%s answers, with chip id %#x; want %s: %w", c.Name, answer, names(chips), gateway.ErrUnavailable)
		}
		if id := fmt.Sprintf("%#x", answer); !slices.Contains(answers, id) {
			answers = append(answers, id)
		}
	}
	switch {
	case len(answers) == 0:
		return Chip{}, b.Hint(ctx, ErrNoAnswer, address, chips)
	case stranger != nil:
		return Chip{}, stranger
	}
	return Chip{}, fmt.Errorf("another chip answers, with chip id %s; want %s; check the address and the wires (fieldpost probe): %w",
		strings.Join(answers, ", "), names(chips), gateway.ErrUnavailable)
}

var errNoID = errors.New("the chip has no id")

// ask reads an id.
func (b *I2C) ask(ctx context.Context, address uint16, c Chip) ([]byte, error) {
	if c.Is == nil {
		return nil, errNoID
	}
	answer := make([]byte, c.Answer)
	if c.Pause == 0 {
		return answer, b.Tx(address, c.Ask, answer)
	}
	if err := b.Tx(address, c.Ask, nil); err != nil {
		return nil, err
	}
	if err := Wait(ctx, c.Pause); err != nil {
		return nil, err
	}
	return answer, b.Tx(address, nil, answer)
}

// names lists chips for people.
func names(chips []Chip) string {
	var all []string
	for _, c := range chips {
		all = append(all, c.Name)
	}
	return strings.Join(all, " or ")
}

// Hint adds to an error that nobody answers at an address what else there is:
// the same chip at another of its addresses, or which addresses it can have. All
// other errors stay as they are.
func (b *I2C) Hint(ctx context.Context, err error, address uint16, chips []Chip) error {
	if !errors.Is(err, ErrNoAnswer) {
		return err
	}
	var others []uint16
	for _, c := range chips {
		for _, other := range c.Addresses {
			if other == address {
				continue
			}
			if answer, askErr := b.ask(ctx, other, c); askErr == nil && c.Is(answer) {
				return &hinted{err: err, text: fmt.Sprintf("no answer; %#02x answers with chip id %#x: %s (fieldpost probe)", other, answer, pins(c, address, other))}
			}
			others = append(others, other)
		}
	}
	slices.Sort(others)
	text := "no answer; check wires and power (fieldpost probe)"
	if len(others) > 0 {
		text = fmt.Sprintf("no answer; check wires, power and the address, which can be %s too (fieldpost probe)", joined(slices.Compact(others)))
	}
	return &hinted{err: err, text: text}
}

// pins asks about the pins that set the address.
func pins(c Chip, want, is uint16) string {
	switch {
	case len(c.Addresses) > 2:
		return "how are the address pins wired?"
	case is > want:
		return "is the address pin high?"
	default:
		return "is the address pin low?"
	}
}

func joined(addresses []uint16) string {
	var all []string
	for _, a := range addresses {
		all = append(all, fmt.Sprintf("%#02x", a))
	}
	return strings.Join(all, ", ")
}

// hinted is an error with a better text.
type hinted struct {
	err  error
	text string
}

func (h *hinted) Error() string { return h.text }
func (h *hinted) Unwrap() error { return h.err }
