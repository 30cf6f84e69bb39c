// Package broker speaks to a plain MQTT 3.1.1 broker.
//
// MQTT 3.1.1 has no message properties, so the payload is an envelope that
// carries the identity of the message:
//
//	{"id":"…","store":"…","lane":"…","seq":1,"kind":"…","created":"…","body":{…}}
//
// with "correlation" if the message answers a command. A body that is not JSON
// is in "body_base64", and its type in "content_type".
//
// Commands come in as {"id":"…","device":"…","action":"…","args":{…}} with an
// optional "expires" (RFC 3339), or on a topic below, <commands>/<device>/<action>/<id>,
// with the arguments as payload. They must not be retained. The result of each is
// published for its sender too, without an envelope: on the topic of responses with
// its id, or on the one that "reply_to" names, if that begins alike.
//
// A retained "online" or "offline" on the status topic tells who is there; the
// broker itself publishes "offline" when the connection is lost.
package broker
