package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// sample is what one engine gave for a figure in each round.
type sample []float64

// outcome is a figure of a job: what each engine gave.
type outcome struct {
	job     job
	figure  string
	engines map[string]sample
}

// bench runs jobs in directories below dir.
type bench struct {
	dir      string
	rounds   int
	progress io.Writer
}

// run measures all jobs. What fails is in the error, and the rest goes on.
func (b bench) run(ctx context.Context, jobs []job) (list []outcome, err error) {
	began := time.Now()
	for i, j := range jobs {
		if ctx.Err() != nil {
			return list, errors.Join(err, ctx.Err())
		}
		fmt.Fprintf(b.progress, "%4.0f s  %d/%d  %s: %s\n", time.Since(began).Seconds(), i+1, len(jobs), j.measure, j.describe())
		outcomes, failed := b.one(ctx, j)
		list, err = append(list, outcomes...), errors.Join(err, failed)
	}
	fmt.Fprintf(b.progress, "%4.0f s  done\n", time.Since(began).Seconds())
	return list, err
}

// one measures a job: in each round every engine once, each round beginning
// with another. An engine that fails is left out from then on.
func (b bench) one(ctx context.Context, j job) (list []outcome, err error) {
	engines := slices.Clone(j.engines)
	for range b.rounds {
		for _, engine := range slices.Clone(engines) {
			found, failed := spawn(ctx, b.dir, j.task(engine))
			if failed != nil {
				err = errors.Join(err, failed)
				engines = slices.DeleteFunc(engines, func(e string) bool { return e == engine })
				continue
			}
			list = record(list, j, engine, found)
		}
		if len(engines) > 1 {
			engines = append(engines[1:], engines[0])
		}
	}
	slices.SortFunc(list, func(a, b outcome) int {
		return slices.Index(figureOrder, a.figure) - slices.Index(figureOrder, b.figure)
	})
	return list, err
}

// record adds what a process has found to the outcomes of its job.
func record(list []outcome, j job, engine string, found figures) []outcome {
	for figure, value := range found {
		i := slices.IndexFunc(list, func(o outcome) bool { return o.figure == figure })
		if i < 0 {
			i, list = len(list), append(list, outcome{job: j, figure: figure, engines: make(map[string]sample)})
		}
		list[i].engines[engine] = append(list[i].engines[engine], value)
	}
	return list
}

// yardstick is the engine that another is compared with; empty for none.
func (o outcome) yardstick(engine string) string {
	switch {
	case engine == engineSealed:
		return engineFieldpost
	case engine != engineRaw && len(o.engines[engineRaw]) > 0:
		return engineRaw
	}
	return ""
}

// ratio is the median of the ratios of each round; 0 if there is none.
func (o outcome) ratio(engine string) float64 {
	own, other := o.engines[engine], o.engines[o.yardstick(engine)]
	var list []float64
	for i := range min(len(own), len(other)) {
		if other[i] > 0 {
			list = append(list, own[i]/other[i])
		}
	}
	return median(list)
}

// row is a figure of an engine, as it is written to the JSON file.
type row struct {
	Name   string  `json:"name"`
	Engine string  `json:"engine"`
	Params params  `json:"params"`
	Value  float64 `json:"value"` // the median
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Unit   string  `json:"unit"`
	// Ratio is to the engine Of, in the same run; absent if there is none.
	Ratio  float64 `json:"ratio,omitempty"`
	Of     string  `json:"of,omitempty"`
	Budget string  `json:"budget,omitempty"`
	Within *bool   `json:"within,omitempty"`
}

// name is the figure; for an open, with how the store was left.
func (o outcome) name() string {
	if o.figure == figOpen {
		return o.job.measure
	}
	return o.figure
}

func (o outcome) row(engine string) row {
	s := o.engines[engine]
	r := row{
		Name: o.name(), Engine: engine, Params: o.job.params, Unit: units[o.figure],
		Value: median(s), Min: slices.Min(s), Max: slices.Max(s),
	}
	if r.Ratio = o.ratio(engine); r.Ratio > 0 {
		r.Of = o.yardstick(engine)
	}
	if engine == engineFieldpost {
		b := budgetOf(o.job, o.figure)
		r.Budget, r.Within = b.String(), b.within(r.Value, r.Ratio)
	}
	return r
}

// rows are all figures of all engines.
func rows(list []outcome) (all []row) {
	for _, o := range list {
		for _, engine := range appenders {
			if len(o.engines[engine]) > 0 {
				all = append(all, o.row(engine))
			}
		}
	}
	return all
}
