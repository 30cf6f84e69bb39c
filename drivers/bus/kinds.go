package bus

import (
	"regexp"
	"strconv"
)

// The kinds of buses that devices ask for.
const (
	KindI2C = "i2c"
	KindSPI = "spi"
)

// Kind is a kind of bus.
type Kind struct {
	// Name is what `type:` in the config says.
	Name string
	// Config returns a pointer to an empty config struct, to be decoded into.
	Config func() any
}

// kinds has the kinds in the order of their names. Devices ask for the kind
// that kindOf gives, which several types can share.
var kinds = []Kind{
	{Name: KindI2C, Config: func() any { return new(I2CConfig) }},
	{Name: "i2c-mux", Config: func() any { return new(MuxConfig) }},
	{Name: "modbus-rtu", Config: func() any { return new(RTUConfig) }},
	{Name: "modbus-tcp", Config: func() any { return new(TCPConfig) }},
	{Name: KindSPI, Config: func() any { return new(SPIConfig) }},
}

// Kinds lists the kinds of buses, in the order of their names.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// kinded is a bus config that says what kind its devices ask for.
type kinded interface{ kind() string }

// owner is the config of a bus of the board, with the name of its hardware.
type owner interface{ hardware() string }

func kindOf(config any) string {
	if k, ok := config.(kinded); ok {
		return k.kind()
	}
	return ""
}

var (
	i2cName = regexp.MustCompile(`^i2c-(\d{1,3})$`)
	spiName = regexp.MustCompile(`^spi-(\d{1,2})$`)
)

// implied is the config of a bus that needs none; nil if there is no such bus.
func implied(name string) any {
	if m := i2cName.FindStringSubmatch(name); m != nil {
		number, _ := strconv.Atoi(m[1])
		return &I2CConfig{Device: "/dev/i2c-" + strconv.Itoa(number), Timeout: defaultTimeout}
	}
	if m := spiName.FindStringSubmatch(name); m != nil {
		number, _ := strconv.Atoi(m[1])
		return &SPIConfig{Controller: number, Timeout: defaultTimeout}
	}
	return nil
}
