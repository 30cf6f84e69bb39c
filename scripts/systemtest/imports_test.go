package systemtest

import (
	"bufio"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fieldpost/fieldpost/"

// layers is the table of ARCHITECTURE.md: what each package may import of the
// project. A name that ends in /... covers the packages below it.
var layers = map[string][]string{
	"gateway":                   {},
	"gateway/clock":             {"gateway"},
	"gateway/health":            {"gateway", "gateway/clock"},
	"gateway/config":            {"gateway"},
	"gateway/durable":           {},
	"gateway/exposition":        {},
	"gateway/expression":        {"gateway"},
	"gateway/latest":            {"gateway"},
	"gateway/dating":            {"gateway"},
	"gateway/pipeline":          {"gateway", "gateway/clock", "gateway/dating", "gateway/expression", "gateway/health"},
	"gateway/command":           {"gateway", "gateway/clock", "gateway/durable", "gateway/expression", "gateway/health", "gateway/latest"},
	"gateway/policy":            {"gateway", "gateway/clock", "gateway/durable", "gateway/expression", "gateway/health", "gateway/latest"},
	"gateway/rules":             {"gateway", "gateway/clock", "gateway/expression", "gateway/health", "gateway/latest"},
	"gateway/scene":             {"gateway", "gateway/clock", "gateway/config", "gateway/expression", "gateway/latest"},
	"gateway/uplink":            {"gateway", "gateway/clock", "gateway/durable", "gateway/health"},
	"gateway/uplink/upload":     {"gateway", "gateway/clock", "gateway/durable", "gateway/health", "gateway/uplink"},
	"gateway/uplink/uplinktest": {"gateway", "gateway/uplink"},
	"gateway/wsconn":            {},
	"gateway/uplink/mqtt":       {"gateway", "gateway/clock", "gateway/durable", "gateway/health", "gateway/uplink", "gateway/wsconn"},
	"gateway/uplink/iothub":     {"gateway", "gateway/clock", "gateway/config", "gateway/durable", "gateway/health", "gateway/uplink", "gateway/uplink/mqtt", "gateway/uplink/upload"},
	"gateway/uplink/broker":     {"gateway", "gateway/clock", "gateway/config", "gateway/health", "gateway/uplink", "gateway/uplink/mqtt"},
	"gateway/audit":             {"gateway"},
	"gateway/hubsim":            {"gateway", "gateway/wsconn"},
	"gateway/hubsim/load":       {"gateway/hubsim"},
	"gateway/service": {
		"gateway", "gateway/audit", "gateway/clock", "gateway/command", "gateway/config", "gateway/dating", "gateway/durable", "gateway/exposition", "gateway/health", "gateway/latest", "gateway/pipeline", "gateway/policy", "gateway/rules", "gateway/scene",
		"gateway/uplink", "gateway/uplink/broker", "gateway/uplink/iothub", "gateway/uplink/mqtt", "gateway/uplink/upload", "storeforward", "drivers", "drivers/bus",
	},
	"storeforward":          {"gateway"},
	"drivers":               {"gateway", "gateway/config", "drivers/..."},
	"drivers/drivertest":    {"gateway", "drivers/bus", "drivers/bus/...", "drivers/drivertest/..."},
	"drivers/bus":           {"gateway", "gateway/config", "drivers/bus/..."},
	"drivers/bus/...":       {"gateway"},
	"drivers/bus/sensirion": {"gateway", "drivers/bus"},
	"drivers/probe":         {"gateway", "firmware-bridge/link", "drivers", "drivers/bus", "drivers/bus/..."},
	"drivers/mcu":           {"gateway", "gateway/durable", "drivers/bus", "firmware-bridge/link"},
	"drivers/...":           {"gateway", "gateway/config", "drivers/bus", "drivers/bus/..."},
	"cmd/fieldpost":         {"gateway", "firmware-bridge/link", "gateway/audit", "gateway/config", "gateway/service", "gateway/uplink/upload", "storeforward", "drivers/probe"},
	"cmd/hubsim":            {"gateway/hubsim", "gateway/hubsim/load"},
	"scripts/demo":          {},
	"scripts/systemtest":    {},
	"scripts/board/guest":   {"scripts/board", "drivers/drivertest/i2csim"},
	"scripts/...":           {},
	"firmware-bridge/link":  {"gateway"},

	"firmware-bridge/link/linktest": {"firmware-bridge/link"},
}

// testsOnly are packages that no program may bring to users.
var testsOnly = []string{"drivers/drivertest", "drivers/drivertest/...", "firmware-bridge/link/linktest"}

// owners are the modules that one package alone, or a few, may import.
var owners = map[string][]string{
	"github.com/eclipse/paho.mqtt.golang": {"gateway/uplink/mqtt"},
	"github.com/dgraph-io/badger/v4":      {"storeforward"},
	"github.com/goccy/go-yaml":            {"gateway/config"},
	"github.com/alecthomas/kong":          {"cmd/fieldpost", "cmd/hubsim"},
	"github.com/gorilla/websocket":        {"gateway/wsconn", "gateway/hubsim"},
	"github.com/mochi-mqtt/server/v2":     {"gateway/hubsim", "gateway/hubsim/load"},
	"github.com/coreos/go-systemd/v22":    {"gateway/service"},
	"github.com/expr-lang/expr":           {"gateway/expression"},
	"github.com/tarm/serial":              {"drivers/bus"},
	"golang.org/x/crypto":                 {"storeforward"},
	"github.com/klauspost/compress":       {"storeforward"},
	"periph.io/x/host/v3":                 {"drivers/bus"},
}

// TestImportsGoOneWay holds the direction of dependencies. Tests may import
// more; the programs may not.
func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	seen := 0
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		pkg := strings.TrimPrefix(fields[0], module)
		seen++
		for _, imported := range fields[1:] {
			checkImport(t, pkg, imported)
		}
	}
	if seen < 15 {
		t.Errorf("only %d packages were listed", seen)
	}
}

func checkImport(t *testing.T, pkg, imported string) {
	t.Helper()
	if inner, own := strings.CutPrefix(imported, module); own {
		if covered(testsOnly, inner) && product(pkg) {
			t.Errorf("%s imports %s, which is for tests only", pkg, inner)
		}
		if allowed, known := allowedOf(pkg); !known || !covered(allowed, inner) {
			t.Errorf("%s imports %s, which its layer does not allow; see ARCHITECTURE.md", pkg, inner)
		}
		return
	}
	for prefix, users := range owners {
		if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !slices.Contains(users, pkg) {
			t.Errorf("%s imports %s, which belongs to %s alone", pkg, imported, strings.Join(users, ", "))
		}
	}
}

// product says that a package can be in a program that users run.
func product(pkg string) bool {
	return !covered(append([]string{"scripts/..."}, testsOnly...), pkg)
}

func allowedOf(pkg string) (allowed []string, known bool) {
	if allowed, known := layers[pkg]; known {
		return allowed, true
	}
	for name, allowed := range layers {
		if parent, wild := strings.CutSuffix(name, "/..."); wild && strings.HasPrefix(pkg, parent+"/") {
			return allowed, true
		}
	}
	return nil, false
}

func covered(allowed []string, pkg string) bool {
	return slices.ContainsFunc(allowed, func(name string) bool {
		parent, wild := strings.CutSuffix(name, "/...")
		return name == pkg || wild && strings.HasPrefix(pkg, parent+"/")
	})
}
