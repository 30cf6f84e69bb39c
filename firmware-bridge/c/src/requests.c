/* requests.c: what the gateway asks for, and the answers (SPEC.md, section 5). What needs more of the
 * stack than the others is in files of its own, so that no compiler makes one frame for all. */
#include "internal.h"

static uint8_t ping(struct fpl_link *link, uint8_t length) {
  if (length != 8) return FPL_INVALID;
  fpl_put32(fpl_answer(link), fpl_now(link));
  fpl_answer(link)[4] = link->failsafes;
  fpl_put16(fpl_answer(link) + 5, link->damaged);
  link->answered = 7;
  return FPL_OK;
}

static uint8_t describe(struct fpl_link *link, uint8_t length) {
  uint16_t offset, left;
  if (length != 2) return FPL_INVALID;
  offset = fpl_get16(fpl_asked(link));
  if (offset >= link->app->length) return FPL_INVALID;
  left = (uint16_t)(link->app->length - offset);
  link->answered = (uint8_t)(left < FPL_ROOM ? left : FPL_ROOM);
  link->port->fetch(link->port->context, fpl_answer(link), link->app->descriptor + offset, link->answered);
  return FPL_OK;
}

static uint8_t leave(struct fpl_link *link, uint8_t length) {
  if (!link->port->restart) return FPL_UNSUPPORTED;
  if (length) return FPL_INVALID;
  fpl_make_safe(link, true);
  link->leaving = true;
  return FPL_OK;
}

static uint8_t confirm(struct fpl_link *link, uint8_t length) {
  const struct fpl_port *port = link->port;
  if (!port->confirm) return FPL_UNSUPPORTED;
  if (length) return FPL_INVALID;
  if (!port->confirm(port->context)) return FPL_FAILED;
  link->on_trial = false;
  return FPL_OK;
}

static uint8_t carry_out(struct fpl_link *link, uint8_t length) {
  switch (link->input[FPL_AT_TYPE]) {
    case FPL_PING: return ping(link, length);
    case FPL_DESCRIBE: return describe(link, length);
    case FPL_DO: return fpl_do(link, length);
    case FPL_GET: return fpl_get(link, length);
    case FPL_SET: return fpl_set(link, length);
    case FPL_LOADER: return leave(link, length);
    case FPL_CONFIRM: return confirm(link, length);
    default: return FPL_UNSUPPORTED;
  }
}

void fpl_request(struct fpl_link *link) {
  link->answered = 0;
  *fpl_payload(link) = carry_out(link, (uint8_t)(link->receiver.length - FPL_OVERHEAD));
  fpl_heard(link); /* now, since it may have taken a while */
  fpl_send(link, (uint8_t)(link->input[FPL_AT_TYPE] + FPL_ANSWER), link->session,
           fpl_get16(link->input + FPL_AT_NUMBER), (uint8_t)(1 + link->answered));
}
