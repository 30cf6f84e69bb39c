package bme280

import (
	"encoding/binary"
	"fmt"
	"slices"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/gateway"
)

// calibration has the trimming parameters of one chip (section 4.2.2 of the
// BME280), by their numbers in the data sheet: t[1] is dig_T1. The formulas are
// those in floating point, appendix 8.1.
type calibration struct {
	t [4]float64
	p [10]float64
	h [7]float64
}

// calibrate reads the calibration, twice: one that was disturbed would turn each
// later value into a wrong one.
func calibrate(chip *i2c.Dev, humid bool) (calibration, error) {
	once, err := readCalibration(chip, humid)
	if err != nil {
		return calibration{}, err
	}
	twice, err := readCalibration(chip, humid)
	if err == nil && once != twice {
		err = fmt.Errorf("the calibration is another one each time it is read; check the wires: %w", gateway.ErrUnavailable)
	}
	return twice, err
}

func readCalibration(chip *i2c.Dev, humid bool) (calibration, error) {
	var low [26]byte // 0x88 to 0xa1
	var high [7]byte // 0xe1 to 0xe7
	if err := chip.Tx([]byte{regCalibration}, low[:]); err != nil {
		return calibration{}, err
	}
	if humid {
		if err := chip.Tx([]byte{regHumidCalib}, high[:]); err != nil {
			return calibration{}, err
		}
	}
	return parseCalibration(low, high, humid)
}

// parseCalibration refuses what no chip has.
func parseCalibration(low [26]byte, high [7]byte, humid bool) (c calibration, err error) {
	same := func(b []byte) bool { return len(slices.Compact(slices.Clone(b))) == 1 }
	if same(low[:24]) || humid && same(high[:]) {
		return c, fmt.Errorf("the calibration is all %#02x; check the wires: %w", low[0], gateway.ErrUnavailable)
	}
	word := func(i int) float64 { return float64(int16(binary.LittleEndian.Uint16(low[i:]))) }
	unsigned := func(i int) float64 { return float64(binary.LittleEndian.Uint16(low[i:])) }
	c.t = [4]float64{1: unsigned(0), 2: word(2), 3: word(4)}
	c.p[1] = unsigned(6)
	for i := 2; i <= 9; i++ {
		c.p[i] = word(4 + 2*i)
	}
	if c.t[1] == 0 || c.p[1] == 0 {
		return c, fmt.Errorf("the calibration has dig_T1 %v and dig_P1 %v, which are never 0; check the wires: %w", c.t[1], c.p[1], gateway.ErrUnavailable)
	}
	c.h = [7]float64{
		1: float64(low[25]),
		2: float64(int16(binary.LittleEndian.Uint16(high[0:]))),
		3: float64(high[2]),
		4: float64(int16(int8(high[3]))<<4 | int16(high[4]&0x0f)),
		5: float64(int16(int8(high[5]))<<4 | int16(high[4]>>4)),
		6: float64(int8(high[6])),
	}
	return c, nil
}

// Values that the converters have when nothing was measured.
const (
	noValue         = 0x80000
	noHumidity      = 0x8000
	humidityAtLimit = 0xffff
)

// fine is a temperature in the unit of the formulas, 1/5120 °C.
type fine float64

func (f fine) celsius() float64 { return float64(f) / 5120 }

func (c *calibration) fine(raw uint32) (fine, error) {
	if raw == noValue {
		return 0, fmt.Errorf("the chip has measured no temperature: %w", gateway.ErrInvalid)
	}
	x := float64(raw)/16384 - c.t[1]/1024
	y := float64(raw)/131072 - c.t[1]/8192
	f := fine(x*c.t[2] + y*y*c.t[3])
	if t := f.celsius(); t < -40 || t > 85 {
		return 0, fmt.Errorf("temperature %.2f Cel is beyond what the chip measures, -40 to 85: %w", t, gateway.ErrInvalid)
	}
	return f, nil
}

// pressure in Pa.
func (c *calibration) pressure(raw uint32, t fine) (float64, error) {
	if raw == noValue {
		return 0, fmt.Errorf("the chip has measured no pressure: %w", gateway.ErrInvalid)
	}
	x := float64(t)/2 - 64000
	offset := x*x*c.p[6]/32768 + x*c.p[5]*2
	offset = offset/4 + c.p[4]*65536
	scale := (c.p[3]*x*x/524288 + c.p[2]*x) / 524288
	scale = (1 + scale/32768) * c.p[1]
	if scale == 0 {
		return 0, fmt.Errorf("the pressure cannot be calculated, the calibration is wrong: %w", gateway.ErrInvalid)
	}
	p := (1048576 - float64(raw) - offset/4096) * 6250 / scale
	p += (c.p[9]*p*p/2147483648 + p*c.p[8]/32768 + c.p[7]) / 16
	if p < 30000 || p > 110000 {
		return 0, fmt.Errorf("pressure %.0f Pa is beyond what the chip measures, 30000 to 110000: %w", p, gateway.ErrInvalid)
	}
	return p, nil
}

// humidity in %RH, never below 0 or above 100: the formula gives a little more
// when the air is saturated.
func (c *calibration) humidity(raw uint16, t fine) (float64, error) {
	if raw == noHumidity || raw == humidityAtLimit || raw == 0 {
		return 0, fmt.Errorf("the chip has measured no humidity (%#04x): %w", raw, gateway.ErrInvalid)
	}
	x := float64(t) - 76800
	h := float64(raw) - (c.h[4]*64 + c.h[5]/16384*x)
	h *= c.h[2] / 65536 * (1 + c.h[6]/67108864*x*(1+c.h[3]/67108864*x))
	h *= 1 - c.h[1]*h/524288
	return max(0, min(100, h)), nil
}
