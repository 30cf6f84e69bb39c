// Package storeforward is a durable first-in first-out queue for small boards:
// what Append has accepted survives crashes, power cuts and damaged files until
// the receiver has confirmed it, or until a stated policy gives it up and says
// so.
//
//	q, err := storeforward.Open(options)      // Defaults(dir), and a Clock
//	ids, err := q.Append(ctx, messages...)    // nil: they are on disk
//	m, err := q.Next(ctx)                     // each once, until Rewind
//	err = q.Ack(m.ID)                         // the receiver has it
//
// # Limits
//
// One process opens a store at a time. One goroutine calls Next; lanes of
// another receiver are handed out by an [Outlet] of their own. A message body
// holds at most [MaxBodyBytes]; one Append at most [MaxAppendBytes]. There are
// at most 100 lanes. A store needs [MinMaxBytes] of disk, and [MinMinFree] bytes
// free beside it. Linux only.
//
// # Invariants
//
//  1. Append returns nil only after the messages are synced to disk.
//  2. A message leaves for one of five reasons: it was acknowledged, it expired,
//     it was evicted by its lane's overflow policy, it was rejected as never
//     sendable, or it was purged by hand. All but the first, and damage, are
//     written down in the transaction that removes the message, and become a
//     gap record: a message of the lane "gaps" that names lane, first and last
//     sequence number, and reason.
//  3. At any instant accepted = acknowledged + waiting + explained by gaps.
//  4. Within a lane, sequence numbers start at 1, are contiguous and are never
//     used twice under one store id. Messages are handed out in their order; a
//     woven lane has two rows, each in its order.
//  5. Acknowledgements are written in batches: after a crash, messages
//     acknowledged within the last second may be handed out again, in order.
//  6. The bytes kept stay below Options.MaxBytes, and Options.MinFree bytes of
//     the file system stay free.
//  7. Nothing is written while nothing happens.
//
// # Layout on disk
//
// The store is a Badger database. A lane is a row of epochs, an epoch a row of
// chunks, a chunk many messages. Every value is a frame: it says by itself, with
// checksums, what it is and where it belongs, so that it can be found in what is
// left of a damaged file without the engine.
//
//	m s                             → identity of the store
//	m l <lane>                      → name of the lane, and the store it is of
//	q <lane> <epoch> <first seq>    → chunk: messages, each with length and CRC-32C
//	q <lane> <epoch> ff…            → the lane's cursor as of that epoch
//	g <lane>                        → a loss that no gap record tells of yet
//	j <arrival>                     → entry of the command journal, in JSON; when it is
//	                                  finished, until it is old or there are too many
//
// A chunk is compressed (Zstandard) where that saves a tenth, and encrypted
// (XChaCha20-Poly1305) if there is a key. In a lane whose chunks do not shrink
// it is tried seldom. An epoch is closed after a few
// megabytes and at each start.
//
// Beside the directory lie <dir>.witness (see Identity), <dir>.ballast (space
// that is given up when the disk is full, so that the store can be opened and
// drained) and <dir>.damaged-<time> (see Recovery).
//
// # Writing
//
// One goroutine, the committer, owns every write. It gathers what all callers
// want written and commits it as one transaction with one flush of the disk, at
// most once per Options.CommitAge unless the group is full or urgent. The
// cursors of all lanes that have moved go with it.
//
// A transaction that fails is in doubt: nobody was told that it is on disk, and
// nobody will be. The engine is opened anew, and the lanes go on in new epochs,
// so that nothing is ever read of what it may have left. The journal, which has no
// epochs, gets back with the next transaction what the failed one replaced: a final
// state whose result is not in a lane does not count.
//
// # A full disk
//
// The engine maps its files and would die of a page that the disk has no block
// for. So its log gets all its blocks before it is written to, and is not filled
// unless there is room for the table that it becomes; and the engine makes tables
// of tables only when there is room for them: see guard. Messages are refused, as
// their lane's policy says, below Options.MinFree; nothing at all is written
// when less than half of [MinMinFree] is free. What others fill the disk with
// leaves the ballast, of which the engine gets what it needs to end what it has
// begun, to reclaim what is acknowledged, and to open the store. All goes on by
// itself once there is room. A store whose directory is a mount point has no
// ballast.
//
// # Reading
//
// Each lane remembers where it stands; Next reads one chunk ahead. The cost does
// not depend on what waits behind. Lanes share the link by their priority, four
// to one, so that no lane starves. After an outage a lane with
// [BackfillWeave] hands out up to three new messages for each of the backlog.
//
// How old a message is, is known by the boot's own clock within a boot, and by
// the trusted wall clock beyond it, in doubt less than it is: a step of the
// clock by years expires nothing.
//
// # Acknowledging and reclaiming
//
// Ack marks messages in memory; the cursor is written with the next commit, or
// by itself after a second. A cursor is a number up to which all have left, and
// the runs above it that have left already. Nothing is deleted message by
// message: once the cursor on disk has passed an epoch, its keys are dropped as
// a whole, which gives the space back at once.
//
// The engine maps its tables into memory. While the store is at work their
// pages are given back to the kernel, so that a large backlog does not show as
// a large process.
//
// # Identity
//
// The id of a message is store, lane and sequence number; the store's id is
// random. A small file beside the store, its witness, is told with each commit
// how far the lanes have come; the store knows the witness by its inode and
// birth, and the board. A store that knows less than its witness, has another
// one or none, or stands on another board, is a copy of what it once was: it
// gets a new id. What waits in it keeps the ids that it has and drains under
// them, in lanes that take nothing new. What only the witness knows of is told
// as a gap. One thing cannot be noticed: an image of the whole card, put back
// block by block onto the same board.
//
// # Recovery
//
// Before the engine is opened, its files are checked for what it would take for
// an empty or a shorter store, or die of. Such a store gives [ErrDamaged];
// [Quarantine] sets it aside, and the next Open makes a new one and salvages the
// other: commands and dead letters at once, messages in the background, under
// their ids and in order. It reads frames wherever they lie in the files, so it
// needs neither the engine nor its manifest, and nothing that it reads can make
// it panic. What cannot be read is told as gaps, to the number.
//
// A damaged chunk in a store that opens is passed over: what stands before the
// damage is handed out, the rest is looked for in the older files, and what is
// gone is a gap. A store that its process has died of twice in a row, soon after
// the start or while it was closed, or that comes without its witness, is read
// through before it is opened: each block, and the order of the keys in it, since
// what the engine makes of a damaged table has sound checksums.
package storeforward
