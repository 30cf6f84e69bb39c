package probe

// For tests from outside.
var (
	Classify = classify
	Moves    = moves
)
