package ds18b20

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// parse reads w1_slave of the kernel (Documentation/w1/slaves/w1_therm.rst):
// the scratchpad with the verdict on its checksum, then the temperature in
// thousandths of a degree Celsius.
//
//	50 05 4b 46 7f ff 0c 10 1c : crc=1c YES
//	50 05 4b 46 7f ff 0c 10 1c t=85000
func parse(text string) (celsius float64, err error) {
	first, second, _ := strings.Cut(text, "\n")
	pad, verdict, ok := strings.Cut(first, ":")
	_, milli, hasValue := strings.Cut(second, "t=")
	if !ok || !hasValue {
		return 0, fmt.Errorf("w1_slave says %.60q; want two lines with crc= and t=: %w", text, gateway.ErrInvalid)
	}
	if err := checkPad(pad, verdict); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(milli), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("w1_slave says t=%.20q; want thousandths of a degree: %w", milli, gateway.ErrInvalid)
	}
	return float64(n) / 1000, nil
}

// checkPad looks for what the checksum does not find: a line that is shorted
// to ground reads as zeros, whose checksum is right.
func checkPad(pad, verdict string) error {
	if !strings.HasSuffix(strings.TrimSpace(verdict), "YES") {
		return fmt.Errorf("the checksum is wrong; check for a long or noisy line, and the pull-up (4.7 kΩ, less for long lines): %w", gateway.ErrInvalid)
	}
	bytes, err := hex.DecodeString(strings.Join(strings.Fields(pad), ""))
	if err != nil || len(bytes) != 9 {
		return fmt.Errorf("w1_slave shows the scratchpad %.40q; want 9 bytes: %w", pad, gateway.ErrInvalid)
	}
	for _, b := range bytes {
		if b != 0 {
			return nil
		}
	}
	return fmt.Errorf("all bytes are zero; is the data line shorted to ground? %w", gateway.ErrUnavailable)
}
