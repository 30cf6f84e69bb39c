//go:build wide

package systemtest

import (
	"fmt"
	"log"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	server "github.com/simonvetter/modbus"
)

// pumps are what hangs on the coils of a Modbus unit by others. A coil stays as it
// was written, whatever becomes of who wrote it.
type pumps struct {
	server.RequestHandler // for tables that it does not have: nothing is asked of them

	address string
	mu      sync.Mutex
	on      [8]bool
	changes []string        // coil and state, in order
	clients map[string]bool // those that have ever asked
}

func startPumps(t *testing.T) *pumps {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pumps{address: l.Addr().String(), clients: make(map[string]bool)}
	_ = l.Close()
	s, err := server.NewServer(&server.ServerConfiguration{URL: "tcp://" + p.address, MaxClients: 4, Logger: log.New(t.Output(), "", 0)}, p)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return p
}

// HandleCoils implements server.RequestHandler.
func (p *pumps) HandleCoils(r *server.CoilsRequest) ([]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(r.Addr)+int(r.Quantity) > len(p.on) {
		return nil, server.ErrIllegalDataAddress
	}
	p.clients[r.ClientAddr] = true
	if r.IsWrite {
		for i, on := range r.Args {
			coil := int(r.Addr) + i
			if p.on[coil] != on {
				p.changes = append(p.changes, fmt.Sprintf("%d %t", coil, on))
			}
			p.on[coil] = on
		}
	}
	return slices.Clone(p.on[r.Addr : r.Addr+r.Quantity]), nil
}

// connections counts those that were ever made.
func (p *pumps) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.clients)
}

// changed are the changes since it was asked last.
func (p *pumps) changed() (changes []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes, p.changes = p.changes, nil
	return changes
}

// await waits until a pump is on, or off.
func (p *pumps) await(t *testing.T, coil int, on bool) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.on[coil] != on {
			return fmt.Errorf("the pump at coil %d is on: %v, want %v", coil, p.on[coil], on)
		}
		return nil
	})
}

// pump is the entry of devices for one of them.
func pump(id string, coil int) string {
	return fmt.Sprintf("  - {id: %s, driver: modbus, bus: plant, unit: 1, every: 200ms, safe: {on: 0}, registers: [{name: on, table: coil, address: %d, write: {}}]}\n", id, coil)
}

// edit changes the config of a gateway, by pairs of old and new text.
func (g *gateway) edit(t testing.TB, edits ...string) {
	t.Helper()
	text, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, edited(t, string(text), edits...))
}
