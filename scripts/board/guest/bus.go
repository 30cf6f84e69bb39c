package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/scripts/board"
)

// bus plays the chips of one adapter of i2c-hil, whose format is described there.
type bus struct {
	kernel *os.File

	mu     sync.Mutex
	chips  map[uint16]i2csim.Chip
	faults map[uint16]string // address 0: of the whole bus
}

func openBus(file string) (*bus, error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &bus{kernel: f, chips: map[uint16]i2csim.Chip{}, faults: map[uint16]string{}}, nil
}

// serve answers transfers until the adapter is gone.
func (b *bus) serve() error {
	question := make([]byte, 8192)
	for {
		n, err := b.kernel.Read(question)
		if err != nil {
			return err
		}
		answer, err := b.answer(question[:n])
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		if _, err := b.kernel.Write(answer); err != nil && !errors.Is(err, unix.ESTALE) {
			return err
		}
	}
}

// message is one of a transfer; the chip speaks if read is set.
type message struct {
	address uint16
	read    bool
	body    []byte
}

// answer carries out one transfer; nil leaves the bus stuck.
func (b *bus) answer(question []byte) ([]byte, error) {
	messages, err := parse(question)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	result := unix.Errno(0)
	for i := 0; i < len(messages) && result == 0; i++ {
		m := messages[i]
		fault := b.faults[m.address]
		if fault == "" {
			fault = b.faults[0]
		}
		c := b.chips[m.address]
		switch {
		case fault == board.Stuck:
			return nil, nil
		case fault == board.NoAnswer || c == nil:
			result = unix.EREMOTEIO // what most adapters say when nobody acknowledges
		default:
			result = transfer(c, m)
		}
	}
	answer := append([]byte{}, question[:4]...)
	answer = binary.NativeEndian.AppendUint32(answer, uint32(-int32(result)))
	for _, m := range messages {
		if m.read {
			answer = append(answer, m.body...)
		}
	}
	return answer, nil
}

func transfer(c i2csim.Chip, m message) unix.Errno {
	var err error
	if m.read {
		err = c.Tx(nil, m.body)
	} else {
		err = c.Tx(m.body, nil)
	}
	if err != nil {
		return unix.EREMOTEIO
	}
	return 0
}

func parse(question []byte) ([]message, error) {
	if len(question) < 6 {
		return nil, fmt.Errorf("a transfer of %d bytes", len(question))
	}
	messages := make([]message, binary.NativeEndian.Uint16(question[4:]))
	rest := question[6:]
	for i := range messages {
		if len(rest) < 6 {
			return nil, fmt.Errorf("transfer ends in message %d of %d", i+1, len(messages))
		}
		length := int(binary.NativeEndian.Uint16(rest[4:]))
		m := message{address: binary.NativeEndian.Uint16(rest), read: rest[2]&1 == 1}
		rest = rest[6:]
		if m.read {
			m.body = make([]byte, length)
		} else if len(rest) < length {
			return nil, fmt.Errorf("message %d of %d ends after %d bytes", i+1, len(messages), len(rest))
		} else {
			m.body, rest = rest[:length], rest[length:]
		}
		messages[i] = m
	}
	return messages, nil
}
