/* session.c: HELLO and greetings (SPEC.md, section 4). */
#include "internal.h"

enum { ROLE = 1 /* application */, HAS_LOADER = 2, HAS_CONFIRM = 4 };

/* Fields of our HELLO. */
enum {
  AT_LOWEST,
  AT_ROLE,
  AT_RESET,
  AT_FEATURES,
  AT_IMAGE,
  AT_RESERVED,
  AT_MAX,
  AT_WINDOW = 8,
  AT_TIMEOUT = 10,
  AT_LAST = 12,
  AT_UPTIME = 14,
  AT_NEXT = 18,
  AT_DESCRIPTOR = 22,
  AT_HASH = 24,
  AT_TARGET = 28,
  HELLO_SIZE = 30,
};

/* Those of the gateway's, as far as they matter here. */
enum { AT_GATEWAYS_LOWEST = FPL_HEADER, GATEWAYS_SIZE = 4 };

static uint8_t features(const struct fpl_port *port) {
  return (uint8_t)((port->restart ? HAS_LOADER : 0) | (port->confirm ? HAS_CONFIRM : 0));
}

/* hash of the descriptor, which is a constant and is fetched piecewise, to where the next frame will
 * be. It is made anew each time: the milliseconds are cheaper than four bytes of memory. */
static uint32_t hash(struct fpl_link *link) {
  const struct fpl_application *app = link->app;
  uint32_t crc = 0;
  for (uint16_t at = 0; at < app->length;) {
    uint16_t left = (uint16_t)(app->length - at);
    uint8_t length = (uint8_t)(left < FPL_PAYLOAD ? left : FPL_PAYLOAD);
    link->port->fetch(link->port->context, fpl_payload(link), app->descriptor + at, length);
    crc = fpl_crc(crc, fpl_payload(link), length);
    at = (uint16_t)(at + length);
  }
  return crc;
}

static void introduce(struct fpl_link *link, uint16_t session, uint16_t number) {
  const struct fpl_port *port = link->port;
  uint8_t *hello = fpl_payload(link);
  uint32_t descriptor = hash(link);
  hello[AT_LOWEST] = FPL_VERSION;
  hello[AT_ROLE] = ROLE;
  hello[AT_RESET] = port->cause ? port->cause(port->context) : FPL_RESET_UNKNOWN;
  hello[AT_FEATURES] = features(port);
  hello[AT_IMAGE] = port->image ? port->image(port->context) : FPL_IMAGE_NO_UPDATE;
  hello[AT_RESERVED] = 0;
  fpl_put16(hello + AT_MAX, FPL_PAYLOAD);
  fpl_put16(hello + AT_WINDOW, port->window);
  fpl_put16(hello + AT_TIMEOUT, link->app->timeout);
  fpl_put16(hello + AT_LAST, link->last);
  fpl_put32(hello + AT_UPTIME, fpl_now(link));
  fpl_put32(hello + AT_NEXT, link->next);
  fpl_put16(hello + AT_DESCRIPTOR, link->app->length);
  fpl_put32(hello + AT_HASH, descriptor);
  fpl_put16(hello + AT_TARGET, port->target);
  fpl_send(link, FPL_HELLO + FPL_ANSWER, session, number, HELLO_SIZE);
}

void fpl_greeting(struct fpl_link *link) {
  link->greet = false;
  link->greeted = fpl_now(link);
  introduce(link, 0, 0);
}

/* begin puts a new session in force. Outputs stay as they are. */
static void begin(struct fpl_link *link, uint16_t session) {
  link->last = link->session;
  link->session = session;
  link->kept_length = 0;
  fpl_send_anew(link);
}

void fpl_hello(struct fpl_link *link) {
  const uint8_t *frame = link->input;
  uint16_t session = fpl_get16(frame + FPL_AT_SESSION);
  if (link->receiver.length < FPL_OVERHEAD + GATEWAYS_SIZE || !session) return;
  if (frame[FPL_AT_VERSION] >= FPL_VERSION && frame[AT_GATEWAYS_LOWEST] <= FPL_VERSION) {
    if (session != link->session) begin(link, session);
    fpl_heard(link);
  }
  introduce(link, session, fpl_get16(frame + FPL_AT_NUMBER));
}
