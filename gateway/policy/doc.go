// Package policy decides who may command a device, how often and within which
// bounds, and what must hold while a device is away from its safe state.
//
//	worker ── Begin ─→ may it? ── denied, with the reason
//	                     │ a permit, until the device has come back
//	                     ↓
//	Run ── a condition ceases, a time is over, the link is lost ─→ safe state
//
// A device whose only_while names an output of another one depends on that one.
// What a command would change is judged before it begins, together with whatever is
// under way on the devices that depend on each other: as long as it is, its outputs
// are known only where they are the same before and after. So no order in which
// workers happen to run brings about what the conditions forbid.
//
// The safe state is never judged and never waits: what is under way is cut short,
// dependents come before what they depend on, and whoever does not come back in
// time holds up nobody. Spans of time are measured by the monotonic clock.
package policy
