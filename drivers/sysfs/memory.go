package sysfs

import (
	"fmt"
	"math"

	"github.com/fieldpost/fieldpost/gateway"
)

func (d *Dev) memory() ([]gateway.Reading, error) {
	const file = "proc/meminfo"
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	memory, err := parseMemory(text)
	if err != nil {
		return nil, d.located(err, file)
	}
	total, available := memory["MemTotal"], memory["MemAvailable"]
	if total <= 0 || available > total {
		return nil, d.located(fmt.Errorf("MemTotal %v and MemAvailable %v cannot be: %w", total, available, gateway.ErrInvalid), file)
	}
	readings := []gateway.Reading{
		number("memory_total", total, "By"),
		number("memory_available", available, "By"),
		number("memory_used", tenths(100*(1-available/total)), "%"),
	}
	if swap := memory["SwapTotal"]; swap > 0 {
		readings = append(readings, number("swap_used", max(0, swap-memory["SwapFree"]), "By"))
	}
	return readings, nil
}

// tenths rounds a percentage: more digits would be noise, and bytes on the link.
func tenths(percent float64) float64 { return math.Round(10*percent) / 10 }
