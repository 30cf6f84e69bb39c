package probe

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/fieldpost/fieldpost/drivers/bus"
)

// questions to one address, with what was written put on record.
type questions struct {
	chip *I2CChip
	bus  *bus.I2C
}

// read reads one byte, and writes nothing.
func (q *questions) read() (byte, error) {
	var r [1]byte
	err := q.bus.Tx(q.chip.Address, nil, r[:])
	return r[0], err
}

// ask writes what a chip has as its question, and reads its answer.
func (q *questions) ask(ctx context.Context, c bus.Chip) ([]byte, error) {
	answer := make([]byte, c.Answer)
	var err error
	if c.Pause == 0 {
		err = q.bus.Tx(q.chip.Address, c.Ask, answer)
	} else if err = q.bus.Tx(q.chip.Address, c.Ask, nil); err == nil {
		if err = bus.Wait(ctx, c.Pause); err == nil {
			err = q.bus.Tx(q.chip.Address, nil, answer)
		}
	}
	read := hex.EncodeToString(answer)
	if err != nil {
		read = ""
	}
	q.chip.Asked = append(q.chip.Asked, Question{Wrote: hex.EncodeToString(c.Ask), Read: read})
	return answer, err
}

// identify asks for the ids of chips that could be there, by their registers.
// Before is what a read without a register has given.
func (p *prober) identify(ctx context.Context, q *questions, before byte) error {
	if moves(q.chip.Address, true) != "" {
		return nil
	}
	asked := make(map[string][]byte)
	for _, k := range p.at(q.chip.Address) {
		if k.Is == nil || k.isCommand() {
			continue
		}
		answer, known := asked[string(k.Ask)]
		if !known || len(answer) < k.Answer {
			var err error
			if answer, err = q.ask(ctx, k.Chip); err != nil {
				return err
			}
			asked[string(k.Ask)] = answer
		}
		if k.Is(answer[:k.Answer]) {
			q.chip.found(k)
			return nil
		}
		if isMux, err := q.undo(k.Ask[0], answer[0], before); isMux || err != nil {
			return err
		}
		if q.chip.Address >= firstMux {
			q.chip.Else = nil // it is no multiplexer
		}
		q.chip.Maybe = slices.DeleteFunc(q.chip.Maybe, func(c Candidate) bool { return c.Driver == k.driver })
	}
	return nil
}

// undo finds that what has answered is a multiplexer, which took the number of a
// register for channels to open, and gives it back what it had.
func (q *questions) undo(wrote, answer, before byte) (isMux bool, err error) {
	if q.chip.Address < firstMux || answer != wrote {
		return false, nil
	}
	if now, err := q.read(); err != nil || now != wrote {
		return false, err
	}
	q.chip.Maybe, q.chip.Else = nil, []string{"a multiplexer such as PCA9548A"}
	q.chip.Note = "it keeps what is written to it, as a multiplexer does"
	_, err = q.ask(context.Background(), bus.Chip{Ask: []byte{before}})
	return true, err
}

// command asks chips that are silent when they are just read.
func (p *prober) command(ctx context.Context, q *questions) error {
	if !p.Commands || moves(q.chip.Address, false) != "" {
		return nil
	}
	for _, k := range p.at(q.chip.Address) {
		if k.Is == nil || !k.isCommand() {
			continue
		}
		answer, err := q.ask(ctx, k.Chip)
		switch {
		case errors.Is(err, bus.ErrNoAnswer):
			continue // nobody, or nobody who knows this command
		case err != nil:
			return err
		case k.Is(answer):
			q.chip.found(k)
			return nil
		}
	}
	return nil
}

// found notes that a chip is a known one.
func (c *I2CChip) found(k known) {
	c.Chip, c.Driver, c.keys = k.Name, k.driver, k.keys
	c.Maybe, c.Else, c.Note = nil, nil, ""
}
