// Package command brings commands to the devices and their results back.
//
//	Inbox.Accept ─┐                      ┌→ worker → Actuator ─┐
//	              ├→ Journal.Begin ──────┼→ worker → Actuator ─┼→ Journal.Finish
//	Dispatcher.Do ┘                      └→ …                  ┘
//
// A command is journalled before it is acknowledged, again before the device
// is asked to act, and its final state is journalled in one transaction with
// the message that reports it. So, wherever the power fails, the next start
// finds each command in one of three states, and knows what to do:
//
//	received   nothing has moved: it is carried out now, if it still may be
//	started    the device may have acted: it is repeated if its action is
//	           idempotent, gone on with if it is resumable, otherwise its outcome
//	           is unknown
//	finished   it is never carried out again; a repeat is answered
//
// Each device has one worker, which takes its commands in order. A device
// that does not answer holds up nobody but itself. What waits is in the journal, with
// no more than a ticket in memory, and bounded: for a device, so that one that is slow
// leaves room to the others, and in all. Beyond that commands are left with their
// senders.
package command
