// Package mcu is a microcontroller that speaks the link of firmware-bridge/SPEC.md
// over a serial port. What it measures and what it can do it says itself, by its
// descriptor: nothing of that is in the config.
//
// Readings:
//
//	NAME                each channel of the descriptor, numbered (gateway.Reading.Seq)
//	                    and dated by the microcontroller's own clock
//	setting.NAME        each setting, when a session begins and when it was changed
//	firmware            name and version of what runs, when a session begins
//	firmware.update     how far an update of it is: fetching, sending, starting, waiting,
//	                    putting back, confirmed, failed
//	firmware.progress   how much of the image is stored, %
//	link.resets         resets since the start of the gateway
//	link.reset          cause of the last one: power on, watchdog, …
//	link.failsafes      how often it took its safe state by itself since its reset
//	link.lost           readings that it gave up before they came over
//	link.retries        requests that were sent again
//	link.damaged        frames that were dropped here, link.damaged_there by it
//	link.round_trip     mean time from a request to its answer, s
//
// Each action of the descriptor is an action here. change-settings is added if there
// are settings, firmware-update if the config has keys. An action that takes a lease sets outputs, one for each argument: they
// have the name of the argument if the action is called set, of the action if it has
// one argument, and ACTION.ARGUMENT otherwise.
//
// The microcontroller takes its safe state by itself when the gateway falls silent.
// Outputs set with a lease keep their value until that ends, even while the gateway
// restarts; the gateway renews leases for as long as it lives.
package mcu
