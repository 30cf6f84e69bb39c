/* link.c: the link as a whole; one frame at a time goes out, and none is begun before the last has
 * left. */
#include "fieldpost_link.h"

#include <string.h>

#include "internal.h"

enum {
  GREETING = 1000,       /* ms between greetings */
  GREETING_SOON = 250,   /* when somebody speaks to us */
};

static const uint32_t trial_time = 60000; /* ms in which an image on trial has to be confirmed */

bool fpl_elapsed(const struct fpl_link *link, uint32_t since, uint32_t time) { return fpl_now(link) - since >= time; }

void fpl_heard(struct fpl_link *link) {
  link->heard = fpl_now(link);
  link->safe = false;
}

bool fpl_connected(const struct fpl_link *link) { return link->session && !link->safe; }

static bool idle(const struct fpl_link *link) { return link->port->sent(link->port->context); }

void fpl_send(struct fpl_link *link, uint8_t type, uint16_t session, uint16_t number, uint8_t length) {
  uint8_t *header = link->output + 2;
  header[FPL_AT_VERSION] = FPL_VERSION;
  header[FPL_AT_TYPE] = type;
  fpl_put16(header + FPL_AT_SESSION, session);
  fpl_put16(header + FPL_AT_NUMBER, number);
  length = fpl_seal(link->output, (uint8_t)(FPL_HEADER + length));
  link->port->write(link->port->context, link->output, length);
}

/* handle does what the frame in input asks for. The line is idle, so that it can answer. */
static void handle(struct fpl_link *link) {
  const uint8_t *frame = link->input;
  uint8_t type = frame[FPL_AT_TYPE];
  if (type == FPL_HELLO) {
    fpl_hello(link);
  } else if (frame[FPL_AT_VERSION] != FPL_VERSION || !link->session ||
             fpl_get16(frame + FPL_AT_SESSION) != link->session) {
    if (!link->session) link->greet = true;
  } else if (type && type <= FPL_LAST_REQUEST) {
    fpl_request(link);
  } else if (type >= FPL_ACK && type < FPL_ANSWER) { /* others are our own, from a line that echoes */
    fpl_heard(link);
    if (type == FPL_ACK) fpl_acknowledged(link);
  }
}

/* listen takes bytes until there is a frame; the others wait in the port. */
static void listen(struct fpl_link *link) {
  int byte;
  while (!link->arrived && (byte = link->port->read(link->port->context)) >= 0) {
    enum fpl_arrival arrival = fpl_receive(&link->receiver, (uint8_t)byte);
    if (arrival == FPL_BROKEN) link->damaged++;
    link->arrived = arrival == FPL_FRAME;
  }
}

/* speak sends what is due, if anything. The line is idle. */
static void speak(struct fpl_link *link) {
  if (fpl_connected(link)) fpl_send_readings(link);
  else if (!link->session && fpl_elapsed(link, link->greeted, link->greet ? GREETING_SOON : GREETING))
    fpl_greeting(link);
}

/* watch keeps the watchdog quiet, unless an image is on trial that nobody wants. */
static void watch(struct fpl_link *link) {
  const struct fpl_port *port = link->port;
  if (link->on_trial && fpl_elapsed(link, 0, trial_time)) {
    fpl_make_safe(link, true);
    port->restart(port->context);
  }
  if (port->feed) port->feed(port->context);
}

void fpl_poll(struct fpl_link *link) {
  watch(link);
  fpl_guard(link);
  listen(link);
  if (!idle(link)) return;
  if (link->leaving) {
    link->port->restart(link->port->context);
  } else if (link->arrived) {
    link->arrived = false;
    handle(link);
  } else {
    speak(link);
  }
}

void fpl_init(struct fpl_link *link, const struct fpl_port *port, const struct fpl_application *app,
              struct fpl_reading *readings, uint8_t capacity, uint32_t *leases) {
  memset(link, 0, sizeof *link);
  link->port = port;
  link->app = app;
  link->readings = readings;
  link->capacity = capacity;
  link->leases = leases;
  link->receiver.frame = link->input;
  link->receiver.size = sizeof link->input;
  link->greeted = fpl_now(link) - GREETING;
  link->on_trial = port->restart && port->image && port->image(port->context) == FPL_IMAGE_TRIAL;
  fpl_make_safe(link, true);
  fpl_send_anew(link);
}

enum { AT_LEVEL, AT_UPTIME, AT_TEXT = 5 };

static void wait(const struct fpl_link *link) {
  while (!idle(link)) {
  }
}

/* line begins a line of the log, as soon as the line to the gateway is idle, and returns how much of
 * the text there is room for. */
static uint8_t line(struct fpl_link *link, uint8_t level, uint8_t length) {
  uint8_t *payload = fpl_payload(link);
  wait(link);
  payload[AT_LEVEL] = level;
  fpl_put32(payload + AT_UPTIME, fpl_now(link));
  return length < FPL_PAYLOAD - AT_TEXT ? length : FPL_PAYLOAD - AT_TEXT;
}

/* send_line waits for the line to leave: who logs amid a request has it answered next, from the same
 * place. */
static void send_line(struct fpl_link *link, uint8_t length) {
  uint16_t number = link->logged++;
  if (!link->session) return;
  fpl_send(link, FPL_LOG, link->session, number, (uint8_t)(AT_TEXT + length));
  wait(link);
}

void fpl_log(struct fpl_link *link, uint8_t level, const char *text, uint8_t length) {
  length = line(link, level, length);
  memcpy(fpl_payload(link) + AT_TEXT, text, length);
  send_line(link, length);
}

void fpl_log_constant(struct fpl_link *link, uint8_t level, const char *text, uint8_t length) {
  length = line(link, level, length);
  link->port->fetch(link->port->context, fpl_payload(link) + AT_TEXT, text, length);
  send_line(link, length);
}
