// FieldpostLink.cpp: the hardware is what Arduino makes of it. Files other than this one are
// plain C, and know nothing of Arduino.
#ifdef ARDUINO

#include "FieldpostLink.h"

static Stream &line(void *context) { return *static_cast<Stream *>(context); }

static int readByte(void *context) { return line(context).read(); }

// The Stream copies what it is to write, or waits.
static void writeBytes(void *context, const uint8_t *bytes, uint8_t length) { line(context).write(bytes, length); }

static bool sent(void *) { return true; }

static uint32_t now(void *) { return millis(); }

static void fetch(void *, void *to, const void *from, uint8_t length) { memcpy_P(to, from, length); }

bool FieldpostLink::begin(const fpl_application &application) {
  if (application.outputs > MaxOutputs) return false;
  port.context = &stream;
  port.window = 32; // the least that a Stream buffers is 64
  port.read = readByte;
  port.write = writeBytes;
  port.sent = sent;
  port.now = now;
  port.fetch = fetch;
  fpl_init(&link, &port, &application, readings, MaxReadings, leases);
  return true;
}

void FieldpostLink::log(uint8_t level, const char *text) {
  if (!begun()) return;
  fpl_log(&link, level, text, static_cast<uint8_t>(min(strlen(text), static_cast<size_t>(FPL_PAYLOAD))));
}

void FieldpostLink::log(uint8_t level, const __FlashStringHelper *text) {
  if (!begun()) return;
  const char *constant = reinterpret_cast<const char *>(text);
  fpl_log_constant(&link, level, constant,
                   static_cast<uint8_t>(min(strlen_P(constant), static_cast<size_t>(FPL_PAYLOAD))));
}

#endif
