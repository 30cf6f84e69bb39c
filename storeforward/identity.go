package storeforward

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// formatVersion is that of the layout on disk.
const formatVersion = 1

// identity is what a store knows of itself.
type identity struct {
	Format int    `json:"format"`
	Store  string `json:"store"`
	// Witness is the witness that the store has had beside it.
	Witness fingerprint `json:"witness"`
	// Check is a text that only the right key decrypts; empty without a key.
	Check []byte `json:"check,omitempty"`
}

// checkText is what identity.Check decrypts to.
const checkText = "fieldpost"

func readIdentity(txn *badger.Txn) (identity, error) {
	var id identity
	value, err := get(txn, storeKey)
	if err != nil {
		return id, err
	}
	f, err := expect(value, frameStore)
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(f.payload, &id); err != nil || !validStore(id.Store) {
		return id, fmt.Errorf("identity: %w", errDamaged)
	}
	if id.Format != formatVersion {
		return id, fmt.Errorf("store of format %d: this version of fieldpost reads format %d", id.Format, formatVersion)
	}
	return id, nil
}

// locked reports whether the store was written with another key.
func (id identity) locked(s *sealer) bool {
	if len(id.Check) == 0 {
		return false
	}
	f := frame{kind: frameStore, codec: codecSealed, store: id.Store, payload: id.Check}
	plain, err := s.open(f)
	return err != nil || string(plain.payload) != checkText
}

// seal adds the text that locked looks at. A store without encryption goes
// over to it when it is opened with a key.
func (id *identity) seal(s *sealer) {
	if s != nil {
		id.Check = s.seal(frame{kind: frameStore, store: id.Store, payload: []byte(checkText)}).payload
	}
}

// doubts says why the store must be a copy of what it once was; empty if it is
// what its witness knows.
func (q *Queue) doubts(id identity, now fingerprint, heard *testimony) string {
	switch {
	case id.Witness.Board != now.Board:
		return "it was moved or cloned from another board"
	case id.Witness.Inode != 0 && now.Inode != 0 && (id.Witness.Inode != now.Inode || id.Witness.Born != now.Born):
		return "it was restored or copied: its witness is not the one that it had"
	case heard == nil:
		return ""
	case heard.store != id.Store:
		return "it was restored: its witness knows another store"
	}
	for name, s := range heard.lanes {
		if l := q.own[name]; l == nil || l.next() < s.next {
			return fmt.Sprintf("it was restored or has lost its end: lane %s had come to %d", name, s.next-1)
		}
	}
	return ""
}

// identify decides under which id the store goes on, and writes that down.
func (c *committer) identify(id identity) error {
	path := witnessPath(c.opts.Dir)
	heard, err := hear(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("witness of the store: %w", err)
	}
	if c.witness, err = openWitness(path); err != nil {
		return err
	}
	now, err := takeFingerprint(path, c.opts.board())
	if err != nil {
		return err
	}
	if heard != nil && heard.store == id.Store {
		c.witness.written, c.witness.deaths = heard.written, max(heard.deaths, 1)-1 // without this run
		c.number.Store(max(c.number.Load(), heard.commit))
		c.confirmed.Store(heard.commit)
	}
	before, p := id, c.newPlan()
	id.Witness = now
	doubts := c.doubts(before, now, heard)
	switch {
	case before.Witness == (fingerprint{}):
		c.mourn(p, id, heard)
	case missing:
		err = c.inherit(p, &id, "it was moved or copied: its witness is missing", nil)
	case doubts != "":
		err = c.inherit(p, &id, doubts, heard)
	}
	if err != nil {
		return err
	}
	if id.Store == before.Store && id.Witness == before.Witness && (c.sealer == nil || len(id.Check) > 0) {
		c.witness.note(c.Queue)
		return nil
	}
	id.seal(c.sealer)
	body, err := json.Marshal(id)
	if err != nil {
		return err
	}
	p.puts = append(p.puts, keyValue{storeKey, frame{kind: frameStore, store: id.Store, payload: body}.encode()})
	return c.write(p)
}

// inherit gives the store a new id. What waits keeps the ids that it has and
// drains under them, in lanes that take nothing new. What the witness knows of
// and the store does not is lost.
func (c *committer) inherit(p *plan, id *identity, why string, heard *testimony) error {
	old := id.Store
	id.Store, id.Check = newStoreID(), nil
	c.log.Warn("store has a new id", "was", old, "is", id.Store, "because", why)
	c.store = id.Store
	c.own = make(map[gateway.Lane]*lane)
	for _, l := range c.lanes {
		if l.Local && l.store == old { // nobody else knows its numbers
			l.store = id.Store
			c.own[l.name] = l
		}
	}
	if err := c.addLanes(); err != nil {
		return err
	}
	p.gaps = c.own[gateway.LaneGaps]
	for _, l := range c.lanes {
		switch {
		case l.store == id.Store && l.registered:
			p.puts = append(p.puts, keyValue{laneKey(l.number), laneFrame(l)})
		case l.store == old && heard != nil && heard.store == old:
			p.skip(l, heard.lanes[l.name].next)
		}
	}
	return nil
}

// mourn explains what was in the store that was here before a new one, if
// nothing but its witness is left.
func (c *committer) mourn(p *plan, id identity, heard *testimony) {
	if heard == nil || heard.store == id.Store {
		return
	}
	c.log.Error("the store that was here is gone", "dir", c.opts.Dir, "store", heard.store)
	for name, s := range heard.lanes {
		l := &lane{name: name, store: heard.store}
		if lost := (interval{s.acked + 1, s.next - 1}); lost.last >= lost.first && !c.opts.lane(name).Local {
			loss := loss{interval: lost, reason: gateway.GapDamaged, time: p.now, boot: p.boot}
			p.add(p.of(p.gaps), gapMessage(loss.gap(l)))
		}
	}
}

// newStoreID makes the random name of a store.
func newStoreID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
