package rules

// verdict is what is known of a condition.
type verdict int8

const (
	unknown verdict = iota
	no
	yes
)

func verdictOf(holds bool) verdict {
	if holds {
		return yes
	}
	return no
}

// and is no if one is no, whatever the other may be.
func (v verdict) and(other verdict) verdict {
	switch {
	case v == no || other == no:
		return no
	case v == unknown || other == unknown:
		return unknown
	default:
		return yes
	}
}

func (v verdict) not() verdict {
	switch v {
	case yes:
		return no
	case no:
		return yes
	default:
		return unknown
	}
}

// or is yes if one is yes, whatever the other may be.
func (v verdict) or(other verdict) verdict { return v.not().and(other.not()).not() }
