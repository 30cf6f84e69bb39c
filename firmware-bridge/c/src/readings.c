/* readings.c: what is held until the gateway has it (SPEC.md, section 6). Held readings are a ring;
 * the first of them that were sent are on their way. */
#include <string.h>

#include "internal.h"

enum { TYPE = 0x0F, BAD = 0x20 /* of a tag */ };

enum { SOON = 100, LATE = 2000 /* ms without an acknowledgement */ };

/* Fields of READINGS and of each reading in it. */
enum { AT_FIRST, AT_HELD = 4, AT_TIME = 6, AT_READINGS = 10, AT_CHANNEL = 0, AT_DELAY, AT_VALUE = 3 };

static struct fpl_reading *held(const struct fpl_link *link, uint8_t i) {
  return &link->readings[(link->head + i) % link->capacity];
}

/* drop forgets the oldest ones. */
static void drop(struct fpl_link *link, uint8_t n) {
  link->head = (uint8_t)((link->head + n) % link->capacity);
  link->held = (uint8_t)(link->held - n);
  link->sent = (uint8_t)(link->sent > n ? link->sent - n : 0);
  link->oldest += n;
}

uint8_t fpl_room(const struct fpl_link *link) { return (uint8_t)(link->capacity - link->held); }

static void hold(struct fpl_link *link, uint8_t channel, uint8_t tag, uint32_t bits) {
  struct fpl_reading *reading;
  if (!link->capacity) return;
  if (!fpl_room(link)) drop(link, 1);
  reading = held(link, link->held++);
  reading->time = fpl_now(link);
  reading->channel = channel;
  reading->tag = tag;
  fpl_put32(reading->data, bits);
}

void fpl_tell_bool(struct fpl_link *link, uint8_t channel, bool truth) { hold(link, channel, FPL_BOOL, truth); }

void fpl_tell_int(struct fpl_link *link, uint8_t channel, int32_t integer) {
  hold(link, channel, FPL_INT, (uint32_t)integer);
}

void fpl_tell_float(struct fpl_link *link, uint8_t channel, float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof bits);
  if (fpl_finite(bits)) hold(link, channel, FPL_FLOAT, bits);
  else fpl_tell_bad(link, channel);
}

void fpl_tell_bad(struct fpl_link *link, uint8_t channel) { hold(link, channel, BAD | FPL_NONE, 0); }

/* size of a reading's data. */
static uint8_t size(const struct fpl_reading *reading) { return fpl_size(reading->tag & TYPE); }

/* pack writes one reading into a frame, and returns how long it is. */
static uint8_t pack(uint8_t *at, const struct fpl_reading *reading, uint32_t first) {
  at[AT_CHANNEL] = reading->channel;
  fpl_put16(at + AT_DELAY, (uint16_t)(reading->time - first));
  at[AT_VALUE] = reading->tag;
  memcpy(at + AT_VALUE + 1, reading->data, size(reading));
  return (uint8_t)(AT_VALUE + 1 + size(reading));
}

/* fill makes a frame of the readings that were not sent yet, as many as it takes. */
static uint8_t fill(struct fpl_link *link) {
  uint8_t *payload = fpl_payload(link), length = AT_READINGS;
  uint32_t first = held(link, link->sent)->time;
  fpl_put32(payload + AT_FIRST, link->oldest + link->sent);
  fpl_put16(payload + AT_HELD, link->sent);
  fpl_put32(payload + AT_TIME, first);
  while (link->sent < link->held) {
    const struct fpl_reading *next = held(link, link->sent);
    if (length + AT_VALUE + 1 + size(next) > FPL_PAYLOAD || next->time - first > UINT16_MAX) break;
    length = (uint8_t)(length + pack(payload + length, next, first));
    link->sent++;
  }
  return length;
}

void fpl_send_readings(struct fpl_link *link) {
  if (link->sent && fpl_elapsed(link, link->progress, link->patience)) {
    link->sent = 0;
    link->patience = (uint16_t)(link->patience < LATE / 2 ? link->patience * 2 : LATE);
  }
  if (link->sent == link->held) return;
  if (!link->sent) link->progress = fpl_now(link);
  fpl_send(link, FPL_READINGS, link->session, 0, fill(link));
}

void fpl_send_anew(struct fpl_link *link) {
  link->sent = 0;
  link->patience = SOON;
}

void fpl_acknowledged(struct fpl_link *link) {
  const uint8_t *payload = link->input + FPL_HEADER;
  uint32_t advance = fpl_get32(payload) - link->oldest;
  if (link->receiver.length < FPL_OVERHEAD + 5 || advance > link->held) return;
  if (advance) {
    drop(link, (uint8_t)advance);
    link->next = link->oldest;
    link->patience = SOON;
    link->progress = fpl_now(link);
  }
  if (payload[4]) link->sent = 0;
}
