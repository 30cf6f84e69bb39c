package audit

import "hash/maphash"

const (
	pageSeqs = 1024
	// maxPages bounds the memory of contents: 8 KiB a page, 64 MiB in all, for
	// some eight million messages.
	maxPages = 8192
)

// pageKey names a page: the numbers of a lane whose quotient by pageSeqs is
// number.
type pageKey struct {
	lane   *lane
	number uint64
}

// page holds the sums of the contents of pageSeqs messages; 0 for none.
type page struct {
	sums [pageSeqs]uint64
	used uint64
}

// contents remembers of each message a sum of what it said, so that one that
// comes again can be compared. Beyond its bound it forgets what has not been
// looked at for longest.
type contents struct {
	seed  maphash.Seed
	pages map[pageKey]*page
	limit int
	clock uint64
}

func newContents() contents {
	return contents{seed: maphash.MakeSeed(), pages: make(map[pageKey]*page), limit: maxPages}
}

// note remembers a message and reports what was known under its number: whether
// there was something, and whether it was the same.
func (c *contents) note(l *lane, seq uint64, content []byte) (known, same bool) {
	sum := maphash.Bytes(c.seed, content) | 1 // never 0
	slot := &c.page(pageKey{l, seq / pageSeqs}).sums[seq%pageSeqs]
	if *slot == 0 {
		*slot = sum
		return false, false
	}
	return true, *slot == sum
}

func (c *contents) page(key pageKey) *page {
	p := c.pages[key]
	if p == nil {
		if len(c.pages) >= c.limit {
			c.forget()
		}
		p = new(page)
		c.pages[key] = p
	}
	c.clock++
	p.used = c.clock
	return p
}

// forget drops the page that was not used for longest.
func (c *contents) forget() {
	var oldest pageKey
	used := c.clock + 1
	for key, p := range c.pages {
		if p.used < used {
			oldest, used = key, p.used
		}
	}
	delete(c.pages, oldest)
}
