/* settings.c: the application keeps them (SPEC.md, section 5). */
#include <string.h>

#include "internal.h"

static uint8_t put(struct fpl_link *link, const struct fpl_value *value) {
  struct fpl_values values = {fpl_answer(link), FPL_ROOM};
  if (!fpl_put(&values, value)) return FPL_FAILED; /* a text that is too long */
  link->answered = (uint8_t)(FPL_ROOM - values.left);
  return FPL_OK;
}

uint8_t fpl_get(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_value value;
  uint8_t status;
  if (length != 1) return FPL_INVALID;
  if (!app->get) return FPL_UNKNOWN;
  memset(&value, 0, sizeof value);
  status = app->get(app->context, *fpl_asked(link), &value);
  return status == FPL_OK ? put(link, &value) : status;
}

uint8_t fpl_set(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_values values = {link->input + FPL_HEADER + 1, (uint8_t)(length - 1)};
  struct fpl_value value;
  uint8_t status;
  if (length < 2 || !fpl_take(&values, &value) || values.left) return FPL_INVALID;
  if (!app->set) return FPL_UNKNOWN;
  status = app->set(app->context, *fpl_asked(link), &value);
  return status == FPL_OK ? put(link, &value) : status;
}
