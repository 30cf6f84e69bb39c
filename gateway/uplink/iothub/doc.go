// Package iothub speaks to Azure IoT Hub as a device, over MQTT 3.1.1 on TLS:
// device-to-cloud messages out; cloud-to-device messages and direct methods in,
// both of which become commands; and the twin, which shows the state of the
// gateway (reported properties) and brings settings (desired properties).
//
// A board signs in at the hub of its config, or at the one that the provisioning
// service assigns it to (locator), with tokens of a key or with a certificate
// (credential).
//
// Source: Microsoft, "Communicate with an IoT hub using the MQTT protocol".
// A hub has no words for errors on MQTT: whatever it dislikes, it closes the
// connection. So everything is checked here before it is sent.
package iothub
