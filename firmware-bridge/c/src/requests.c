/* requests.c: what the gateway asks for, and the answers (SPEC.md, section 5). Each function gets the
 * length of the payload in input, writes what follows the status of the answer, and returns the
 * status. */
#include <string.h>

#include "internal.h"

enum { ROOM = FPL_PAYLOAD - 1 /* for an answer, without its status */ };

static const uint8_t *payload(const struct fpl_link *link) { return link->input + FPL_HEADER; }

static uint8_t *answer(struct fpl_link *link) { return fpl_payload(link) + 1; }

static uint8_t ping(struct fpl_link *link, uint8_t length) {
  if (length != 8) return FPL_INVALID;
  fpl_put32(answer(link), fpl_now(link));
  answer(link)[4] = link->failsafes;
  fpl_put16(answer(link) + 5, link->damaged);
  link->answered = 7;
  return FPL_OK;
}

static uint8_t describe(struct fpl_link *link, uint8_t length) {
  uint16_t offset, left;
  if (length != 2) return FPL_INVALID;
  offset = fpl_get16(payload(link));
  if (offset >= link->app->length) return FPL_INVALID;
  left = (uint16_t)(link->app->length - offset);
  link->answered = (uint8_t)(left < ROOM ? left : ROOM);
  link->port->fetch(link->port->context, answer(link), link->app->descriptor + offset, link->answered);
  return FPL_OK;
}

enum { AT_ACTION, AT_LEASE, AT_ARGUMENTS = 5 };

/* Uptimes are compared by the sign of their difference. */
static bool lease_fits(uint8_t output, uint32_t lease) {
  return !lease || (output != FPL_NO_OUTPUT && lease <= INT32_MAX);
}

/* act carries out an action that is none of those already done. */
static uint8_t act(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_values arguments, results;
  uint8_t status, output = FPL_NO_OUTPUT, action = payload(link)[AT_ACTION];
  if (length < AT_ARGUMENTS) return FPL_INVALID;
  if (!app->act) return FPL_UNKNOWN;
  if (app->output) output = app->output(app->context, action);
  if (!lease_fits(output, fpl_get32(payload(link) + AT_LEASE))) return FPL_INVALID;
  arguments.at = link->input + FPL_HEADER + AT_ARGUMENTS;
  arguments.left = (uint8_t)(length - AT_ARGUMENTS);
  results.at = answer(link);
  results.left = FPL_KEPT - 1;
  status = app->act(app->context, action, &arguments, &results);
  if (status != FPL_OK) return status;
  link->answered = (uint8_t)(FPL_KEPT - 1 - results.left);
  if (output != FPL_NO_OUTPUT) fpl_lease(link, output, fpl_get32(payload(link) + AT_LEASE));
  return FPL_OK;
}

/* once carries out an action, keeps its answer, and gives that again to whoever repeats it. */
static uint8_t once(struct fpl_link *link, uint8_t length) {
  uint16_t number = fpl_get16(link->input + FPL_AT_NUMBER);
  uint16_t ahead = (uint16_t)(number - link->done);
  if (!link->kept_length || (ahead && ahead < 0x8000)) {
    link->kept[0] = act(link, length);
    link->done = number;
    link->kept_length = (uint8_t)(1 + link->answered);
    memcpy(link->kept + 1, answer(link), link->answered);
  } else if (ahead) {
    return FPL_STALE;
  }
  link->answered = (uint8_t)(link->kept_length - 1);
  memcpy(answer(link), link->kept + 1, link->answered);
  return link->kept[0];
}

static uint8_t put(struct fpl_link *link, const struct fpl_value *value) {
  struct fpl_values values = {answer(link), ROOM};
  if (!fpl_put(&values, value)) return FPL_FAILED; /* a text that is too long */
  link->answered = (uint8_t)(ROOM - values.left);
  return FPL_OK;
}

static uint8_t get(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_value value;
  uint8_t status;
  if (length != 1) return FPL_INVALID;
  if (!app->get) return FPL_UNKNOWN;
  memset(&value, 0, sizeof value);
  status = app->get(app->context, *payload(link), &value);
  return status == FPL_OK ? put(link, &value) : status;
}

static uint8_t set(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_values values = {link->input + FPL_HEADER + 1, (uint8_t)(length - 1)};
  struct fpl_value value;
  uint8_t status;
  if (length < 2 || !fpl_take(&values, &value) || values.left) return FPL_INVALID;
  if (!app->set) return FPL_UNKNOWN;
  status = app->set(app->context, *payload(link), &value);
  return status == FPL_OK ? put(link, &value) : status;
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
    case FPL_DO: return once(link, length);
    case FPL_GET: return get(link, length);
    case FPL_SET: return set(link, length);
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
