package sysfs

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// unclear is the error of a text that is not what the kernel documents.
func unclear(text, want string) error {
	return fmt.Errorf("it says %.60q; want %s: %w", text, want, gateway.ErrInvalid)
}

// parseCount reads a counter of the kernel.
func parseCount(text string) (float64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, unclear(text, "a whole number")
	}
	return float64(n), nil
}

// parseDecimal reads a number such as 0.25 that cannot be negative.
func parseDecimal(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return 0, unclear(text, "a number")
	}
	return x, nil
}

// parseMillidegrees reads a temperature of the thermal or hwmon class, in Cel.
func parseMillidegrees(text string) (float64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, unclear(text, "thousandths of a degree Celsius")
	}
	return float64(n) / 1000, nil
}

// parseLoad reads /proc/loadavg: "0.20 0.18 0.12 1/80 11206".
func parseLoad(text string) (load [3]float64, err error) {
	fields := strings.Fields(text)
	if len(fields) < len(load) {
		return load, unclear(text, "three averages")
	}
	for i := range load {
		if load[i], err = parseDecimal(fields[i]); err != nil {
			return load, err
		}
	}
	return load, nil
}

// cpuTime counts what all cores have done, in ticks.
type cpuTime struct{ total, idle float64 }

// parseCPU reads the first line of /proc/stat: "cpu", then the ticks in user,
// nice, system, idle, iowait, irq, softirq and steal; guest time, which may
// follow, is within user (proc(5)). Old kernels have fewer.
func parseCPU(text string) (cpuTime, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return cpuTime{}, unclear(line, `"cpu" and the ticks of at least four states`)
	}
	var c cpuTime
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := parseCount(field)
		if err != nil {
			return cpuTime{}, err
		}
		c.total += n
		if i == 3 || i == 4 { // idle and iowait
			c.idle += n
		}
	}
	return c, nil
}

// parseMemory reads /proc/meminfo into bytes by key.
func parseMemory(text string) (map[string]float64, error) {
	memory := make(map[string]float64)
	for line := range strings.Lines(text) {
		key, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			return nil, unclear(line, `lines such as "MemTotal: 440764 kB"`)
		}
		n, err := parseCount(fields[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if len(fields) > 1 && fields[1] == "kB" { // which are KiB
			n *= 1024
		}
		memory[key] = n
	}
	return memory, nil
}

// parseMounts reads /proc/self/mountinfo: the device, as major:minor, by mount
// point. Of several on one point, the last lies on top.
func parseMounts(text string) (map[string]string, error) {
	mounts := make(map[string]string)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			return nil, unclear(line, "the fields of proc_pid_mountinfo(5)")
		}
		mounts[unescape(fields[4])] = fields[2]
	}
	return mounts, nil
}

// unescape undoes the kernel's way to write spaces and the like: \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// sectorBytes is the unit of /proc/diskstats, whatever the disk's own is.
const sectorBytes = 512

// parseDisk finds a device, named as major:minor, in /proc/diskstats and
// returns the bytes read and written; found is false if it is not there.
func parseDisk(text, device string) (read, written float64, found bool, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			return 0, 0, false, unclear(line, "the fields of Documentation/admin-guide/iostats.rst")
		}
		if fields[0]+":"+fields[1] != device {
			continue
		}
		if read, err = parseCount(fields[5]); err != nil {
			return 0, 0, false, err
		}
		if written, err = parseCount(fields[9]); err != nil {
			return 0, 0, false, err
		}
		return read * sectorBytes, written * sectorBytes, true, nil
	}
	return 0, 0, false, nil
}

// parseThrottled reads get_throttled of a Raspberry Pi's firmware: bits in hex.
func parseThrottled(text string) (uint64, error) {
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil {
		return 0, unclear(text, "hexadecimal digits")
	}
	return bits, nil
}
