// Package storeforward is a durable first-in first-out queue for small boards:
// what Append has accepted survives crashes and power cuts until the receiver
// has confirmed it, or until a stated policy gives it up and says so.
//
// # Invariants
//
//  1. Append returns nil only after the messages are synced to disk.
//  2. A message leaves for one of four reasons: it was acknowledged, it
//     expired, it was evicted by its lane's overflow policy, or it was
//     rejected as never sendable. The last three, and damage found on reading,
//     write a gap record in the same transaction.
//  3. Within a lane, sequence numbers start at 1, are contiguous and are never
//     used twice; messages are handed out in their order.
//  4. Acknowledgements are written in batches: after a crash, messages
//     acknowledged within the last second may be handed out again, in order.
//  5. The bytes kept stay below Options.MaxBytes, and Options.MinFree bytes
//     of the file system stay free.
//
// # Limits
//
// One process opens a store at a time. One goroutine calls Next. A message
// body holds at most [MaxBodyBytes]; one Append at most [MaxAppendBytes].
//
// # Damage
//
// A damaged chunk is passed over, with a gap record. A store whose files the
// engine would not open, or would panic on, gives [ErrDamaged]; [Quarantine]
// sets it aside.
//
// # Layout on disk
//
// The store is a Badger database. A lane is a row of epochs, an epoch a row of
// chunks, a chunk many messages, each with its length and CRC-32C, compressed
// together where that pays:
//
//	m store                         → store id
//	m lane <name>                   → number of the lane
//	q <lane> <epoch> <first seq>    → chunk
//	q <lane> <epoch> ff…            → the lane's cursor as of that epoch
//	j <arrival>                     → entry of the command journal
//
// An epoch is closed after a few megabytes and at each start. The cursor of
// the newest epoch counts; it is written with each chunk in one transaction.
// Nothing is deleted message by message: once the cursor has passed an epoch,
// its keys are dropped as a whole, which gives the space back at once.
//
// The engine maps its tables into memory. While the store is at work their
// pages are given back to the kernel, so that a large backlog does not show as
// a large process.
//
// # Writing
//
// One goroutine, the committer, owns every write. It gathers what all callers
// want written and commits it as one synced transaction, at most once per
// Options.CommitAge unless the group is full or urgent.
package storeforward
