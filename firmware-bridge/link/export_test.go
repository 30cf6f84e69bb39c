package link

// Chance makes the next session that m proposes be n.
func (m *Memory) Chance(n uint16) { m.number = n - 1 }
