// Package gateway holds the nouns of fieldpost and the contract of its
// drivers. It does no I/O and imports nothing but the standard library;
// every other package depends on it and it on none.
//
// Outgoing: a [Sensor] or a [Stream] yields a [Reading]; readings are packed
// into a [Message]; a message waits in a [Lane] of the queue until the
// upstream has acknowledged it.
//
// Incoming: a [Command] asks one device for one [Action]; the device's
// [Actuator] carries it out; a [Result] goes back as a message.
package gateway
