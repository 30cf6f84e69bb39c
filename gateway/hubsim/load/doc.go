// Package load is many simulated gateways in one process, to see what a hub,
// or a back end behind it, makes of them.
//
// Each gateway is a device of the hub with an MQTT connection of its own: it
// connects at a random moment of the time given for that, listens for commands,
// sends messages at its pace, waits for each PUBACK, and comes back with a
// growing, jittered delay when it is cut off. Its messages have store, lane and
// seq, so that the audit of the hub can prove that none is missing.
package load
