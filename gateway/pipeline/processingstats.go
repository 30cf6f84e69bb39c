package pipeline

// ProcessingStats counts what has become of the readings of a device:
//
//	Taken + Derived + Summaries = Sent + Dropped + Windowed + Suppressed + Held
type ProcessingStats struct {
	// Taken are those that the driver gave, Derived what was calculated of them,
	// Summaries what was made of windows.
	Taken     uint64 `json:"taken"`
	Derived   uint64 `json:"derived"`
	Summaries uint64 `json:"summaries"`
	// Sent are those that were handed on.
	Sent uint64 `json:"sent"`
	// Bad counts numbers outside of their valid range, sent or dropped.
	Bad uint64 `json:"bad"`
	// Dropped counts numbers outside of a valid range that says so, and those
	// that are not finite.
	Dropped uint64 `json:"dropped"`
	// Windowed counts samples that a summary stands for.
	Windowed uint64 `json:"windowed"`
	// Suppressed counts readings held back by a deadband or a rate limit.
	Suppressed uint64 `json:"suppressed"`
	// Held are those that wait for their rate limit now.
	Held int `json:"held"`
}

// kept counts readings that were handed on without being held back.
func (s *ProcessingStats) kept(o ProcessingStats) {
	s.Taken += o.Taken
	s.Derived += o.Derived
	s.Dropped += o.Dropped
	s.Bad += o.Bad
	s.Sent += o.Taken + o.Derived - o.Dropped
}
