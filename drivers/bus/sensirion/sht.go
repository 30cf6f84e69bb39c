package sensirion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// SHT3x is how chips of this family are told from others. They have no id, but
// none else answers the question for their status with the right checksum.
func SHT3x() bus.Chip {
	return bus.Chip{Name: "SHT3x", Addresses: []uint16{0x44, 0x45}, Ask: []byte{0xf3, 0x2d}, Answer: 3, Pause: time.Millisecond, Is: Sound}
}

// SHT4x is how chips of this family are told from others: they have a serial number.
func SHT4x() bus.Chip {
	return bus.Chip{Name: "SHT4x", Addresses: []uint16{0x44, 0x45, 0x46}, Ask: []byte{0x89}, Answer: 6, Pause: 10 * time.Millisecond, Is: Sound}
}

// Measure has a chip of either family measure once, which takes so long, and
// returns the words of temperature and humidity.
func Measure(ctx context.Context, chip *i2c.Dev, command []byte, takes time.Duration) (temperature, humidity uint16, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	err = chip.Tx(command, nil)
	if errors.Is(err, bus.ErrNoAnswer) { // a measurement that was cancelled may be under way
		if err := bus.Wait(ctx, takes); err != nil {
			return 0, 0, err
		}
		err = chip.Tx(command, nil)
	}
	if err != nil {
		return 0, 0, err
	}
	if err := bus.Wait(ctx, takes); err != nil {
		return 0, 0, err
	}
	var answer [2 * wordSize]byte
	if err := chip.Tx(nil, answer[:]); err != nil {
		return 0, 0, err
	}
	words, err := Words(answer[:])
	if err != nil {
		return 0, 0, err
	}
	return words[0], words[1], nil
}

// Readings are those of a thermometer and hygrometer of either family, whose word
// of the temperature means the same. The error, for one that no chip measures,
// wraps gateway.ErrInvalid.
func Readings(temperature uint16, humidity float64) ([]gateway.Reading, error) {
	t := -45 + 175*float64(temperature)/65535
	if t < -40 || t > 125 {
		return nil, fmt.Errorf("temperature %.2f Cel is beyond what the chip measures, -40 to 125: %w", t, gateway.ErrInvalid)
	}
	return []gateway.Reading{
		{Name: "temperature", Value: gateway.Number(t), Unit: "Cel"},
		{Name: "humidity", Value: gateway.Number(humidity), Unit: "%RH"},
	}, nil
}
