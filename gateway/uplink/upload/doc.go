// Package upload brings files to the cloud, one after the other and each in
// blocks, however often the line, the process or the power fails on the way.
//
// A file is accepted when it is copied into the spool directory and synced, and
// leaves it when the cloud has confirmed it, or refused it for good, or when
// somebody cancels it. The spool is bounded; what does not fit is refused.
//
// What is on disk, for each upload:
//
//	ID.json   what is known of it, replaced as a whole at each step
//	ID.data   the copy of the file, until it is delivered
//	ID.part   a file that is being copied in; it is removed at the next start
//
// The blocks that have arrived are not written down: the storage knows them,
// and is asked when an upload goes on. That is one small request, and spares
// the card a write for each block.
package upload
