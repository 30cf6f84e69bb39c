package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// scale is how much is measured.
type scale struct {
	rounds     int
	appends    map[int]int   // messages by the size of the group
	slowGroups int           // groups with slow syncs
	backlog    int           // messages
	wearGroups int           // of a hundred messages
	behind     []int         // messages behind the head
	stall      int           // messages of backlog, and again of the producer
	settle     time.Duration // what a store may take to give its disk back
	rest       time.Duration // of an idle process, before it is looked at and while it is
}

var (
	quickScale = scale{
		rounds: 1, appends: map[int]int{1: 5000, 16: 20_000, 256: 20_000}, slowGroups: 60,
		backlog: 20_000, wearGroups: 300, behind: []int{10, 100_000}, stall: 10_000, settle: 3 * time.Second, rest: 10 * time.Second,
	}
	normalScale = scale{
		rounds: 3, appends: map[int]int{1: 10_000, 16: 50_000, 256: 100_000}, slowGroups: 200,
		backlog: 100_000, wearGroups: 1000, behind: []int{10, 1_000_000}, stall: 25_000, settle: 3 * time.Second, rest: 10 * time.Second,
	}
	fullScale = scale{
		rounds: 3, appends: map[int]int{1: 100_000, 16: 1_000_000, 256: 1_000_000}, slowGroups: 1000,
		backlog: 1_000_000, wearGroups: 10_000, behind: []int{10, 1_000_000, 10_000_000}, stall: 100_000, settle: 3 * time.Second, rest: 10 * time.Second,
	}
)

const (
	// sdDelay is what a sync of a common SD card takes.
	sdDelay = 8 * time.Millisecond
	// wearGroup is what a busy board accepts in a second.
	wearGroup = 100
	// shortRest does for engines that do nothing by themselves.
	shortRest = time.Second
	// tinyGroup fills a long queue fast.
	tinyGroup = 2048
)

// job is one measurement of some engines, which take turns.
type job struct {
	measure string
	engines []string
	params
}

func (j job) task(engine string) task {
	t := task{Measure: j.measure, Engine: engine, params: j.params}
	if j.measure == "memory" && engine != engineFieldpost {
		t.Rest = min(t.Rest, shortRest)
	}
	return t
}

// describe is what the table says of the parameters.
func (j job) describe() string {
	parts := []string{j.Body}
	switch j.measure {
	case "append":
		parts = append(parts, fmt.Sprintf("groups of %d", j.Group))
	case "wear":
		parts = append(parts, map[bool]string{true: "drained at once", false: "link down"}[j.Acked])
	}
	switch j.measure {
	case "stall":
		parts = append(parts, fmt.Sprintf("%d/s, %s waiting", stallRate, count(j.Messages)))
	case "head":
		parts = append(parts, count(j.Messages)+" waiting")
	default:
		parts = append(parts, count(j.Messages))
	}
	if j.Delay > 0 {
		parts = append(parts, "syncs +"+j.Delay.String())
	}
	return strings.Join(parts, ", ")
}

// count writes 100000 as 100k.
func count(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return fmt.Sprintf("%gM", float64(n)/1e6)
	case n >= 1000 && n%100 == 0:
		return fmt.Sprintf("%gk", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// plan lists the jobs whose measurement or description only matches.
func (s scale) plan(only *regexp.Regexp) []job {
	jobs := slices.Concat(s.speed(), s.cost(), s.latency())
	return slices.DeleteFunc(jobs, func(j job) bool { return !only.MatchString(j.measure + " " + j.describe()) })
}

func (s scale) speed() (jobs []job) {
	for _, group := range []int{1, 16, 256} {
		jobs = append(jobs,
			job{"append", appenders, params{Body: bodyTelemetry, Group: group, Messages: s.appends[group]}},
			job{"append", unsealed, params{Body: bodyNoise, Group: group, Messages: s.appends[group]}})
	}
	for _, group := range []int{1, 16, 256} {
		jobs = append(jobs, job{"append", unsealed, params{
			Body: bodyTelemetry, Group: group, Messages: group * s.slowGroups, Delay: sdDelay,
		}})
	}
	return append(jobs,
		job{"drain", queues, params{Body: bodyTelemetry, Group: fillGroup, Messages: s.backlog, Rest: s.settle}},
		job{"drain", plain, params{Body: bodyNoise, Group: fillGroup, Messages: s.backlog, Rest: s.settle}},
		job{"mixed", plain, params{Body: bodyTelemetry, Group: fillGroup, Messages: s.backlog}})
}

func (s scale) cost() []job {
	n := wearGroup * s.wearGroups
	return []job{
		{"wear", unsealed, params{Body: bodyTelemetry, Group: wearGroup, Messages: n}},
		{"wear", plain, params{Body: bodyTelemetry, Group: wearGroup, Messages: n, Acked: true}},
		{"wear", unsealed, params{Body: bodyNoise, Group: wearGroup, Messages: n}},
		{"memory", plain, params{Body: bodyTelemetry, Group: fillGroup, Messages: s.backlog, Rest: s.rest}},
	}
}

func (s scale) latency() []job {
	backlog := params{Body: bodyTelemetry, Group: fillGroup, Messages: s.backlog}
	jobs := []job{{"open, clean", plain, backlog}, {"open, kill -9", plain, backlog}}
	for _, n := range s.behind {
		jobs = append(jobs, job{"head", plain, params{Body: bodyTiny, Group: tinyGroup, Messages: n}})
	}
	return append(jobs, job{"stall", unsealed, params{Body: bodyNoise, Group: 50, Messages: s.stall}})
}
