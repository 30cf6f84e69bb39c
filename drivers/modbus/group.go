package modbus

import (
	"cmp"
	"slices"

	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
)

// group is what one request reads.
type group struct {
	table          modbus.Table
	address, count int
	registers      []RegisterConfig // in the order of their addresses
}

// groups packs registers into as few requests as limits and gaps allow.
func groups(registers []RegisterConfig, maxRegisters, maxGap int) []group {
	sorted := slices.Clone(registers)
	slices.SortStableFunc(sorted, func(a, b RegisterConfig) int {
		return cmp.Or(cmp.Compare(tables[a.Table], tables[b.Table]), cmp.Compare(a.Address, b.Address))
	})
	var all []group
	for _, r := range sorted {
		if n := len(all); n == 0 || !all[n-1].take(r, maxRegisters, maxGap) {
			all = append(all, group{table: tables[r.Table], address: r.Address, count: r.words(), registers: []RegisterConfig{r}})
		}
	}
	return all
}

// take adds a register to the group, if it fits. Gaps and limits of bits are 16
// times those of registers, which take as much room.
func (g *group) take(r RegisterConfig, maxRegisters, maxGap int) bool {
	limit := maxRegisters
	if g.table.Bits() {
		limit, maxGap = min(16*maxRegisters, modbus.MaxReadBits), 16*maxGap
	}
	end := max(g.address+g.count, r.Address+r.words())
	if g.table != tables[r.Table] || r.Address-(g.address+g.count) > maxGap || end-g.address > limit {
		return false
	}
	g.count = end - g.address
	g.registers = append(g.registers, r)
	return true
}

// gapless tells whether the group reads only what is listed.
func (g *group) gapless() bool {
	end := g.address
	for _, r := range g.registers {
		if r.Address > end {
			return false
		}
		end = max(end, r.Address+r.words())
	}
	return true
}

// values are those of one register, of all that the group has read: registers
// as they came, or one byte with a bit.
func (g *group) values(all []byte, r RegisterConfig) []byte {
	at := r.Address - g.address
	if g.table.Bits() {
		return []byte{all[at/8] >> (at % 8) & 1}
	}
	return all[2*at : 2*(at+r.words())]
}
