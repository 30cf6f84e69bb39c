#include "talk.h"

#include <string.h>

void say(struct mixer *m, uint8_t type, uint16_t session, uint16_t number, const void *payload, uint8_t length) {
  uint8_t wire[FPL_LONGEST + FPL_WRAPPING], size;
  wire[2 + FPL_AT_VERSION] = FPL_VERSION;
  wire[2 + FPL_AT_TYPE] = type;
  fpl_put16(wire + 2 + FPL_AT_SESSION, session);
  fpl_put16(wire + 2 + FPL_AT_NUMBER, number);
  if (length) memcpy(wire + 2 + FPL_HEADER, payload, length);
  size = fpl_seal(wire, (uint8_t)(FPL_HEADER + length));
  if (m->in_at == m->in_length) m->in_at = m->in_length = 0;
  if (m->in_length + size > (int)sizeof m->in) return; /* lost on the line */
  memcpy(m->in + m->in_length, wire, size);
  m->in_length = (uint16_t)(m->in_length + size);
}

bool hear(struct mixer *m, struct heard *heard) {
  static uint8_t frame[255];
  struct fpl_receiver receiver = {frame, sizeof frame, 0, 0, 0};
  for (uint16_t at = 0; at < m->out_length; at++) {
    if (fpl_receive(&receiver, m->out[at]) != FPL_FRAME) continue;
    heard->type = frame[FPL_AT_TYPE];
    heard->session = fpl_get16(frame + FPL_AT_SESSION);
    heard->number = fpl_get16(frame + FPL_AT_NUMBER);
    heard->payload = frame + FPL_HEADER;
    heard->length = (uint8_t)(receiver.length - FPL_OVERHEAD);
    m->out_length = (uint16_t)(m->out_length - at - 1);
    memmove(m->out, m->out + at + 1, m->out_length);
    return true;
  }
  m->out_length = 0;
  return false;
}

bool ask(struct mixer *m, struct heard *heard, uint8_t type, uint16_t number, const void *payload, uint8_t length) {
  m->out_length = 0;
  say(m, type, SESSION, number, payload, length);
  fpl_poll(&m->link);
  return hear(m, heard);
}

void let_pass(struct mixer *m, uint32_t ms) {
  while (ms--) {
    m->now++;
    fpl_poll(&m->link);
  }
}

bool begin_session(struct mixer *m, struct heard *heard, uint16_t session) {
  static const uint8_t hello[] = {FPL_VERSION, 0, 0, 2};
  m->out_length = 0;
  say(m, FPL_HELLO, session, 1, hello, sizeof hello);
  fpl_poll(&m->link);
  return hear(m, heard) && heard->type == FPL_HELLO + FPL_ANSWER;
}
