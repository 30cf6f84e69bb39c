package main

import "fmt"

// budget bounds a figure of fieldpost: a least ratio to raw, or a most value.
// The zero value is no budget.
type budget struct {
	leastRatio float64
	most       float64
	bounded    bool // most is meant, which may be 0
}

func atMost(v float64) budget { return budget{most: v, bounded: true} }

// budgetOf is what the project promises.
func budgetOf(j job, figure string) budget {
	switch figure {
	case figAppend:
		if j.Delay > 0 {
			return budget{leastRatio: 0.9}
		}
		return budget{leastRatio: 0.6}
	case figWritten:
		if j.Body == bodyNoise {
			return atMost(6)
		}
		return atMost(2)
	case figOpen:
		if j.measure == "open, clean" {
			return atMost(200)
		}
		return atMost(1000)
	}
	if most, ok := fixedBudgets[figure]; ok {
		return atMost(most)
	}
	return budget{}
}

var fixedBudgets = map[string]float64{
	figIdleBytes: 0,
	figFillUsual: 40, figIdle: 40, figOpenIdle: 40, figDrainUsual: 40,
	figFillPeak: 64, figDrainPeak: 64,
	figDisk:      4,
	figHeadFirst: 1000, figHead: 1000,
	figStall: 150,
}

// within reports whether a value and its ratio to raw keep the budget; nil if
// there is none.
func (b budget) within(value, ratio float64) *bool {
	var ok bool
	switch {
	case b.bounded:
		ok = value <= b.most
	case b.leastRatio > 0:
		ok = ratio >= b.leastRatio
	default:
		return nil
	}
	return &ok
}

func (b budget) String() string {
	switch {
	case b.bounded:
		return fmt.Sprintf("≤ %g", b.most)
	case b.leastRatio > 0:
		return fmt.Sprintf("≥ %g of raw", b.leastRatio)
	}
	return ""
}
