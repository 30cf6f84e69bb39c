// Package hubsim is a double of Azure IoT Hub for `make run`, for tests, and
// for people without a cloud account. No product code imports it.
//
// It is strict: what the real hub would reject, it rejects, in the same way,
// which on MQTT is a closed connection and nothing else. The reason is in the
// log here, and only there.
//
// Whatever it has acknowledged survives a kill of the process: it is written
// to a file in the data directory first. It is not synced to the disk, so a
// power cut may take the last of it.
//
// The MQTT side stands on a broker library, of which it uses the codec and
// the loop that reads packets. Sessions, subscriptions, deliveries and
// takeovers are the hub's own: it keeps them by device, as IoT Hub does.
//
// Where the documents of the real hub leave a question open: reports of a
// device do not change the etag of its twin; a PUT of a twin leaves what it does
// not name; a twin holds no null in an array; a document that would be too
// large is a bad request, 400; a device's own certificate that has expired is
// refused; a registration renews the certificate of a device, and never changes
// its keys.
//
// Not simulated: jobs, configurations, inputs and outputs of modules,
// and of the query language all but SELECT * with comparisons.
//
// Sources: Microsoft, "Communicate with an IoT hub using the MQTT protocol",
// "Control access to IoT Hub with shared access signatures" and "Send
// cloud-to-device messages from an IoT hub".
package hubsim
