#include "mixer.h"

#include <string.h>

enum { SET = 1, DOSE = 2, INTERVAL = 1, LABEL = 2 };

static int read(void *context) {
  struct mixer *m = context;
  return m->in_at < m->in_length ? m->in[m->in_at++] : -1;
}

static void leave(struct mixer *m) {
  if (!m->leaving) return;
  if (m->out_length + m->leaving_length > (int)sizeof m->out) m->out_length = 0;
  memcpy(m->out + m->out_length, m->leaving, m->leaving_length);
  m->out_length = (uint16_t)(m->out_length + m->leaving_length);
  m->leaving = NULL;
}

static void write(void *context, const uint8_t *bytes, uint8_t length) {
  struct mixer *m = context;
  m->leaving = bytes;
  m->leaving_length = length;
  m->unsent = m->slow;
  if (!m->unsent) leave(m);
}

static bool sent(void *context) {
  struct mixer *m = context;
  if (m->unsent) m->unsent--;
  if (m->unsent) return false;
  leave(m);
  return true;
}

static uint32_t now(void *context) { return ((struct mixer *)context)->now; }

static void fetch(void *context, void *to, const void *from, uint8_t length) {
  (void)context;
  memcpy(to, from, length);
}

static uint8_t cause(void *context) {
  (void)context;
  return FPL_POWER_ON;
}

static void feed(void *context) { ((struct mixer *)context)->fed++; }

static void restart(void *context) { ((struct mixer *)context)->restarts++; }

static uint8_t image(void *context) { return ((struct mixer *)context)->image; }

static bool confirm(void *context) {
  ((struct mixer *)context)->image = FPL_IMAGE_CONFIRMED;
  return true;
}

static void safe(void *context, uint8_t output) {
  struct mixer *m = context;
  (void)output;
  m->on = 0;
  m->safe++;
}

static uint8_t output(void *context, uint8_t action) {
  (void)context;
  return action == SET ? 0 : FPL_NO_OUTPUT;
}

static uint8_t set_motor(struct mixer *m, struct fpl_values *arguments, struct fpl_values *results) {
  struct fpl_value on;
  if (!fpl_take(arguments, &on) || on.type != FPL_BOOL || arguments->left) return FPL_INVALID;
  m->on = on.as.truth;
  fpl_put(results, &on);
  if (m->chatty) fpl_log(&m->link, FPL_INFO, "set", 3);
  return FPL_OK;
}

static uint8_t dose(struct mixer *m, struct fpl_values *arguments, struct fpl_values *results) {
  struct fpl_value amount, kind;
  if (!fpl_take(arguments, &amount) || amount.type != FPL_FLOAT) return FPL_INVALID;
  if (!fpl_take(arguments, &kind) || (kind.type != FPL_NONE && kind.type != FPL_TEXT) || arguments->left)
    return FPL_INVALID;
  m->doses++;
  fpl_put(results, &amount);
  return FPL_OK;
}

static uint8_t act(void *context, uint8_t action, struct fpl_values *arguments, struct fpl_values *results) {
  switch (action) {
    case SET: return set_motor(context, arguments, results);
    case DOSE: return dose(context, arguments, results);
    default: return FPL_UNKNOWN;
  }
}

static uint8_t get(void *context, uint8_t setting, struct fpl_value *value) {
  static const char label[] = "a label of forty characters, not too long";
  struct mixer *m = context;
  if (setting == INTERVAL) {
    value->type = FPL_INT;
    value->as.integer = m->interval;
  } else if (setting == LABEL) {
    value->type = FPL_TEXT;
    value->length = sizeof label - 1;
    value->as.text = label;
  } else {
    return FPL_UNKNOWN;
  }
  return FPL_OK;
}

static uint8_t set(void *context, uint8_t setting, struct fpl_value *value) {
  struct mixer *m = context;
  if (setting == LABEL) return value->type == FPL_TEXT ? FPL_OK : FPL_INVALID;
  if (setting != INTERVAL) return FPL_UNKNOWN;
  if (value->type != FPL_INT || value->as.integer < 100 || value->as.integer > 60000) return FPL_INVALID;
  m->interval = value->as.integer;
  if (m->chatty) fpl_log(&m->link, FPL_INFO, "changed", 7);
  return FPL_OK;
}

void mixer_start(struct mixer *m, const char *descriptor, uint32_t at) {
  const struct fpl_port port = {m, 0x0328, 160, read, write, sent, now, fetch, cause, feed, restart, image, confirm};
  const struct fpl_application application = {m,      m->descriptor, (uint16_t)strlen(descriptor), 5000, 1, safe,
                                              output, act,           get,                          set};
  memset(m, 0, sizeof *m);
  memcpy(m->descriptor, descriptor, strlen(descriptor));
  m->port = port;
  m->application = application;
  m->now = at;
  m->image = FPL_IMAGE_CONFIRMED;
  fpl_init(&m->link, &m->port, &m->application, m->readings, MIXER_HELD, m->leases);
}
