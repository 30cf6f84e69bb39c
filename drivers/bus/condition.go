package bus

import "sync"

// What can be wrong with a bus; the first that is wrong is told.
const (
	isStuck = iota
	isFailing
	isSlow
)

// condition puts together what is wrong with a bus.
type condition struct {
	report func(problem error)

	mu       sync.Mutex
	problems [isSlow + 1]error
}

// set notes one of the things that can be wrong; nil means that it no longer is.
func (c *condition) set(which int, problem error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems[which] = problem
	for _, p := range c.problems {
		if p != nil {
			c.report(p)
			return
		}
	}
	c.report(nil)
}
