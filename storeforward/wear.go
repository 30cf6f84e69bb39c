package storeforward

import (
	"os"
	"strconv"
	"strings"
)

// deviceWritten is what this process has caused to be written to storage: the
// field write_bytes of /proc/self/io (proc(5)). It counts pages as they are
// dirtied, the engine's logs, tables and rewrites among them; 0 if unknown.
func deviceWritten() uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "write_bytes: "); found {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
