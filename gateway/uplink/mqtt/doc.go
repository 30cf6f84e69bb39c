// Package mqtt is one MQTT 3.1.1 connection: made once, lost once, never
// reconnected behind the caller's back.
//
// It wraps paho.mqtt.golang, whose own reconnecting, storing and
// acknowledging are all switched off: the queue is the store, the Sender
// reconnects, and an incoming message is acknowledged when its handler says so.
package mqtt
