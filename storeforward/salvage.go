package storeforward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// SalvageReport says what became of stores that were set aside as damaged.
type SalvageReport struct {
	// Dirs are where what is left of them lies.
	Dirs []string `json:"dirs"`
	// Done is when everything readable had been brought over; zero while that
	// is under way.
	Done     time.Time `json:"done,omitzero"`
	Messages uint64    `json:"messages"`
	Commands int       `json:"commands"`
	// Lost are the messages that could not be read; gap records say which.
	Lost    uint64 `json:"lost"`
	Problem string `json:"problem,omitempty"`
}

// salvage brings what can be read in damaged stores over into lanes of their
// own, under the ids that the messages have. Queue.mu guards lanes and report.
type salvage struct {
	wrecks []wreck
	packer *packer
	report SalvageReport
	// lanes are still to be brought over.
	lanes []*salvageLane
	// left counts the chunks still to be read of each file.
	left map[string]int
}

// salvageLane is one lane of a damaged store: its chunks in the order of their
// sequence numbers, and the number that it had come to.
type salvageLane struct {
	lane   *lane
	chunks []chunkPlace
	next   uint64
}

// chunkPlace is where a chunk was found.
type chunkPlace struct {
	first uint64
	count uint32
	epoch uint32
	size  int
	at    place
}

func (c chunkPlace) last() uint64 { return c.first + uint64(c.count) - 1 }

// salvaged is a chunk to be brought into a lane. One without messages only says
// that all before its first sequence number is lost.
type salvaged struct {
	frame
	lane *lane
}

func (s salvaged) size() int { return frameHeader + len(s.payload) + 1024 }

// search looks through the damaged stores that have not been salvaged yet.
func (c *committer) search() (*findings, error) {
	wrecks, err := findWrecks(c.opts.Dir)
	if err != nil || len(wrecks) == 0 {
		return nil, err
	}
	packer, err := newPacker(c.sealer)
	if err != nil {
		return nil, err
	}
	s := &salvage{wrecks: wrecks, packer: packer, left: make(map[string]int)}
	found := newFindings(c.unpacker, c.beat)
	for _, w := range wrecks {
		s.report.Dirs = append(s.report.Dirs, w.dir)
		if err := found.scan(w); err != nil {
			s.report.Problem = err.Error()
			c.log.Error("damaged store cannot be read through", "dir", w.dir, "error", err)
		}
		if found.wrongKey {
			return nil, fmt.Errorf("damaged store %s: %w", w.dir, ErrKey)
		}
	}
	c.salvage = s
	return found, nil
}

// beginSalvage brings commands and dead letters over at once, since a command
// that comes again must be recognised; messages follow while the queue is at
// work.
func (c *committer) beginSalvage(found *findings) error {
	if found == nil {
		return nil
	}
	for _, key := range found.order() {
		if err := c.adopt(key, found.lanes[key]); err != nil {
			return err
		}
	}
	return c.bringRest(found)
}

// adopt makes the inherited lane that the messages of a damaged one go to.
func (c *committer) adopt(key lineage, f *foundLane) error {
	f.finish()
	if f.name == gateway.LaneDeadLetter || f.next <= f.acked+1 {
		return nil
	}
	l := c.lookup(gateway.MessageID{Store: key.store, Lane: f.name})
	if l == nil {
		var err error
		if l, err = c.addLane(key.store, f.name); err != nil {
			return err
		}
		l.epochs = []epoch{{number: 1, first: f.acked + 1, next: f.acked + 1}}
		l.acked, l.written.acked = f.acked, f.acked
		l.back.head = f.acked + 1
	}
	s := &salvageLane{lane: l, chunks: f.chunks, next: f.next}
	c.salvage.lanes = append(c.salvage.lanes, s)
	for _, ch := range s.chunks {
		c.salvage.left[ch.at.path]++
	}
	return nil
}

// bringRest brings over the commands, the dead letters and the losses that were
// still to be told.
func (c *committer) bringRest(found *findings) error {
	p := c.newPlan()
	size := 0
	flush := func(more int) error {
		if size += more; size < MaxAppendBytes/2 {
			return nil
		}
		err := c.write(p)
		p, size = c.newPlan(), 0
		return err
	}
	for _, e := range found.commands() {
		if c.journal.entries[e.Command.ID] != nil {
			continue
		}
		kv, err := c.journal.encode(c.journal.arrivals+1, e.journalRecord)
		if err != nil {
			continue // it was never of a size to be kept
		}
		p.puts = append(p.puts, kv)
		c.journal.know(&journalEntry{
			id: e.Command.ID, arrival: c.journal.arrivals + 1, bytes: len(kv.value), finished: e.Result != nil, at: parseStamp(e.Stamp),
		})
		c.salvage.report.Commands++
		if err := flush(len(kv.value)); err != nil {
			return err
		}
	}
	if !c.salvage.wrecks[0].begun() {
		for _, m := range slices.Concat(found.letters(), found.gaps()) {
			p.add(p.of(c.own[m.ID.Lane]), m)
			if err := flush(recordSize(m)); err != nil {
				return err
			}
		}
	}
	if err := flush(MaxAppendBytes); err != nil {
		return err
	}
	for _, w := range c.salvage.wrecks {
		if err := w.begin(); err != nil {
			return err
		}
	}
	return nil
}

// salvaging reports whether more is to come into a lane.
func (q *Queue) salvaging(l *lane) bool {
	return q.salvage != nil && slices.ContainsFunc(q.salvage.lanes, func(s *salvageLane) bool { return s.lane == l })
}

// salvager brings the messages over, until that is done or Close.
func (q *Queue) salvager() {
	if q.salvage == nil {
		return
	}
	s := q.salvage
	for len(s.lanes) > 0 {
		if err := q.bringLane(s.lanes[0]); err != nil {
			if !errors.Is(err, ErrClosed) {
				q.log.Error("salvage stopped, it goes on at the next start", "lane", s.lanes[0].lane.name, "error", err)
			}
			return
		}
		q.mu.Lock()
		s.lanes = s.lanes[1:]
		q.mu.Unlock()
	}
	q.mu.Lock()
	s.report.Done = time.Now().UTC()
	report := s.report
	q.mu.Unlock()
	for _, w := range s.wrecks {
		if err := errors.Join(w.removeSound(), w.end(report)); err != nil {
			q.log.Error("damaged store not marked as salvaged", "dir", w.dir, "error", err)
		}
	}
	q.log.Warn("damaged store salvaged", "messages", report.Messages, "lost", report.Lost, "commands", report.Commands, "dirs", report.Dirs)
}

// bringLane brings one lane over, a group of chunks at a time.
func (q *Queue) bringLane(s *salvageLane) error {
	q.mu.Lock()
	next := s.lane.next()
	q.mu.Unlock()
	g := salvageGroup{q: q}
	for {
		passed, c, ok := s.pick(next)
		g.used = append(g.used, passed...)
		if !ok {
			break
		}
		chunk, err := q.salvage.read(q.unpacker, c, next)
		if err != nil {
			q.log.Error("chunk not salvaged", "lane", s.lane.name, "first", c.first, "error", err)
			s.strike(c)
			continue
		}
		chunk.lane = s.lane
		if err := g.add(chunk); err != nil {
			return err
		}
		next = chunk.last() + 1
	}
	if s.next > next {
		if err := g.add(salvaged{lane: s.lane, frame: frame{first: s.next}}); err != nil {
			return err
		}
	}
	return g.flush()
}

// pick finds the chunk that goes on at next: of those that hold it the one of
// the newest epoch, since an older one is of a transaction that failed; if none
// does, the first behind it. It takes out what lies before.
func (s *salvageLane) pick(next uint64) (passed []place, best chunkPlace, ok bool) {
	for len(s.chunks) > 0 && s.chunks[0].last() < next {
		passed = append(passed, s.chunks[0].at)
		s.chunks = s.chunks[1:]
	}
	for _, c := range s.chunks {
		switch {
		case c.last() < next:
		case c.first > next && ok && c.first > best.first:
			return passed, best, ok
		case !ok || c.epoch > best.epoch:
			best, ok = c, true
		}
	}
	return passed, best, ok
}

// strike takes out a chunk that cannot be read. Its file stays.
func (s *salvageLane) strike(bad chunkPlace) {
	s.chunks = slices.DeleteFunc(s.chunks, func(c chunkPlace) bool { return c.at == bad.at })
}

// salvageGroup gathers chunks for one transaction.
type salvageGroup struct {
	q      *Queue
	chunks []salvaged
	used   []place
	size   int
}

func (g *salvageGroup) add(c salvaged) error {
	if g.size+c.size() > MaxAppendBytes {
		if err := g.flush(); err != nil {
			return err
		}
	}
	g.chunks = append(g.chunks, c)
	g.size += c.size()
	return nil
}

func (g *salvageGroup) flush() error {
	if len(g.chunks) > 0 {
		if err := g.q.submitSalvaged(g.chunks); err != nil {
			return err
		}
	}
	for _, at := range g.used {
		g.q.salvage.use(at.path)
	}
	g.chunks, g.used, g.size = nil, nil, 0
	return nil
}

// read reads a chunk that was found; what is before next is left out of it.
func (s *salvage) read(u *unpacker, c chunkPlace, next uint64) (salvaged, error) {
	f, err := readFrame(c.at, c.size)
	if err != nil {
		return salvaged{}, err
	}
	if c.first >= next {
		return salvaged{frame: f}, nil
	}
	w, err := u.unpack(f)
	if err != nil {
		return salvaged{}, err
	}
	var records []byte
	for seq := next; seq <= c.last(); seq++ {
		m, _ := w.at(seq)
		records = appendRecord(records, m)
	}
	f.first, f.count = next, uint32(c.last()-next+1)
	return salvaged{frame: s.packer.pack(nil, f, w.stamp, records)}, nil
}

// use notes that a chunk is in the new store, or is not needed. A file that is
// not damaged goes with its last chunk: the disk need not hold all twice.
func (s *salvage) use(path string) {
	s.left[path]--
	if s.left[path] > 0 {
		return
	}
	removeSound(path)
}

// removeSound removes a table in which there is no damage. What cannot be
// removed lies with the rest.
func removeSound(path string) {
	if filepath.Ext(path) == ".sst" && checkTable(path, true) == nil {
		_ = os.Remove(path)
	}
}

// submitSalvaged waits for room, as a producer of the lane would.
func (q *Queue) submitSalvaged(group []salvaged) error {
	ctx := context.Background() // Close ends the waiting
	for {
		room := q.roomSignal()
		r := &request{chunks: group, urgent: true, done: make(chan error, 1)}
		before := q.lostIn(group[0].lane)
		err := q.submit(ctx, r)
		if err == nil {
			q.mu.Lock()
			for _, c := range group {
				q.salvage.report.Messages += uint64(c.count)
			}
			q.mu.Unlock()
			q.salvageLost(q.lostIn(group[0].lane) - before)
			return nil
		}
		if !errors.Is(err, errNoRoom) && !errors.Is(err, errEngineDown) && !errors.Is(err, errStuck) {
			return err
		}
		if err := q.awaitRoom(ctx, room); err != nil {
			return err
		}
	}
}

func (q *Queue) lostIn(l *lane) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return l.count.allLost()
}

func (q *Queue) salvageLost(n uint64) {
	q.mu.Lock()
	q.salvage.report.Lost += n
	q.mu.Unlock()
}

// wreck is a damaged store that was set aside.
type wreck struct{ dir string }

// The files that say how far the salvage of a wreck has come.
const (
	begunName    = "SALVAGE"
	endedName    = "SALVAGED"
	wreckWitness = "WITNESS"
)

// findWrecks lists the stores set aside that are still to be salvaged, the
// oldest first.
func findWrecks(dir string) ([]wreck, error) {
	dirs, err := filepath.Glob(filepath.Clean(dir) + ".damaged-*")
	if err != nil {
		return nil, err
	}
	slices.Sort(dirs)
	var list []wreck
	for _, dir := range dirs {
		if w := (wreck{dir}); !w.salvaged() {
			list = append(list, w)
		}
	}
	return list, nil
}

func (w wreck) has(name string) bool {
	_, err := os.Stat(filepath.Join(w.dir, name))
	return err == nil
}

func (w wreck) begun() bool    { return w.has(begunName) }
func (w wreck) salvaged() bool { return w.has(endedName) }

// begin notes that commands, dead letters and gap records are in the new store.
func (w wreck) begin() error {
	if w.begun() {
		return nil
	}
	return w.mark(begunName, nil)
}

// removeSound leaves only what is damaged, for whoever wants to look at it.
func (w wreck) removeSound() error {
	tables, err := filepath.Glob(filepath.Join(w.dir, "*.sst"))
	for _, path := range tables {
		removeSound(path)
	}
	return err
}

func (w wreck) end(report SalvageReport) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return w.mark(endedName, append(text, '\n'))
}

func (w wreck) mark(name string, text []byte) error {
	if err := os.WriteFile(filepath.Join(w.dir, name), text, 0o600); err != nil {
		return fmt.Errorf("damaged store %s: %w", w.dir, err)
	}
	return syncDir(w.dir)
}
