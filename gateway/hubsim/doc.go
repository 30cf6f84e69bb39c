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
// Not simulated: twins (their subscriptions are granted, but nothing comes,
// and a request ends the connection), modules,
// certificates of devices, feedback on commands, and quotas.
//
// Sources: Microsoft, "Communicate with an IoT hub using the MQTT protocol",
// "Control access to IoT Hub with shared access signatures" and "Send
// cloud-to-device messages from an IoT hub".
package hubsim
