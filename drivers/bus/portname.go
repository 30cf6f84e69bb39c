package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Advised is a config that can say what is allowed and yet unwise.
type Advised interface {
	Advice() []*gateway.FieldError
}

// numbered are the names of ports that the kernel numbers as adapters come.
var numbered = regexp.MustCompile(`^/dev/tty(USB|ACM)[0-9]+$`)

// stableDirs are where udev keeps names that stay the same, best first.
var stableDirs = []string{"/dev/serial/by-id", "/dev/serial/by-path"}

// StableName is the best name of a port that stays the same, below a root; empty if
// it has none.
func StableName(root, port string) string {
	var dirs []string
	for _, dir := range stableDirs {
		dirs = append(dirs, filepath.Join(root, dir))
	}
	name := stableName(filepath.Join(root, port), dirs)
	if name == "" {
		return ""
	}
	return filepath.Join("/", strings.TrimPrefix(name, filepath.Clean(root)))
}

// consoles is the file of the terminals that the kernel writes its messages to.
const consoles = "/sys/class/tty/console/active"

// Advice implements Advised: it knows which names of ports do not last, and
// where the kernel has a word too.
func (c PortConfig) Advice() []*gateway.FieldError {
	if isConsole(c.Port, consoles) {
		return []*gateway.FieldError{{Field: "port", Problem: fmt.Sprintf("the kernel writes its messages to %s; take console=… with its name out of the kernel's command line (/boot/firmware/cmdline.txt on a Raspberry Pi)", c.Port)}}
	}
	if !numbered.MatchString(c.Port) {
		return nil
	}
	want := "want a name of /dev/serial/by-id (that of the adapter) or /dev/serial/by-path (that of the socket)"
	if name := StableName("/", c.Port); name != "" {
		want = "it is now " + name + "; want that"
	}
	return []*gateway.FieldError{{Field: "port", Problem: fmt.Sprintf("%s can be another adapter after the next start, or once it was unplugged; %s", c.Port, want)}}
}

// isConsole tells whether a port is one of the terminals in the file active.
func isConsole(port, active string) bool {
	names, err := os.ReadFile(active)
	if err != nil {
		return false
	}
	if target, err := filepath.EvalSymlinks(port); err == nil {
		port = target
	}
	return slices.Contains(strings.Fields(string(names)), filepath.Base(port))
}

// stableName finds the link to a port in one of the folders.
func stableName(port string, dirs []string) string {
	at, err := os.Stat(port)
	if err != nil {
		return ""
	}
	for _, dir := range dirs {
		links, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is right
		for _, link := range links {
			if to, err := os.Stat(link); err == nil && os.SameFile(at, to) {
				return link
			}
		}
	}
	return ""
}
