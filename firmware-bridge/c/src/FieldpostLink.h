// FieldpostLink.h: the library for Arduino, over Serial or any other Stream.
//
// What the device is and does stands in a struct fpl_application, as in C; see
// fieldpost_link.h, and the example Greenhouse. There is no update over this port: Arduino's
// own boot loader is in the way.
#pragma once

#include <Arduino.h>

#include "fieldpost_link.h"

class FieldpostLink {
 public:
  static constexpr uint8_t MaxOutputs = 8;
  static constexpr uint8_t MaxReadings = 8;

  explicit FieldpostLink(Stream &stream) : stream(stream) {}

  // begin takes all outputs to their safe state. The Stream has to be begun before. It
  // says false, and does nothing, if there are more than MaxOutputs.
  bool begin(const fpl_application &application);

  // poll belongs into loop(), which should come back to it within milliseconds.
  void poll() {
    if (begun()) fpl_poll(&link);
  }

  // connected: a gateway is in session, and speaks.
  bool connected() const { return fpl_connected(&link); }

  // tell takes over a reading.
  void tell(uint8_t channel, bool truth) { fpl_tell_bool(&link, channel, truth); }
  void tell(uint8_t channel, int integer) { fpl_tell_int(&link, channel, integer); }
  void tell(uint8_t channel, long integer) { fpl_tell_int(&link, channel, integer); }
  void tell(uint8_t channel, float number) { fpl_tell_float(&link, channel, number); }
  void tell(uint8_t channel, double number) { fpl_tell_float(&link, channel, static_cast<float>(number)); }

  // bad says of a channel that it could not be measured.
  void bad(uint8_t channel) { fpl_tell_bad(&link, channel); }

  // log sends a line for people: FPL_INFO, FPL_WARNING, FPL_ERROR.
  void log(uint8_t level, const char *text);
  void log(uint8_t level, const __FlashStringHelper *text);

 private:
  bool begun() const { return link.port; }

  Stream &stream;
  fpl_port port{};
  fpl_link link{};
  fpl_reading readings[MaxReadings];
  uint32_t leases[MaxOutputs];
};
