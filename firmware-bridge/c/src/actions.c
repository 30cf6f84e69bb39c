/* actions.c: each is carried out once, however often its frame comes (SPEC.md, section 5). */
#include <string.h>

#include "internal.h"

enum { AT_ACTION, AT_LEASE, AT_ARGUMENTS = 5 };

/* Uptimes are compared by the sign of their difference. */
static bool lease_fits(uint8_t output, uint32_t lease) {
  return !lease || (output != FPL_NO_OUTPUT && lease <= INT32_MAX);
}

/* act carries out an action that is none of those already done. Results go to where they are kept: the
 * application may log a line meanwhile. */
static uint8_t act(struct fpl_link *link, uint8_t length) {
  const struct fpl_application *app = link->app;
  struct fpl_values arguments, results;
  uint8_t status, output = FPL_NO_OUTPUT, action = fpl_asked(link)[AT_ACTION];
  if (length < AT_ARGUMENTS) return FPL_INVALID;
  if (!app->act) return FPL_UNKNOWN;
  if (app->output) output = app->output(app->context, action);
  if (!lease_fits(output, fpl_get32(fpl_asked(link) + AT_LEASE))) return FPL_INVALID;
  arguments.at = link->input + FPL_HEADER + AT_ARGUMENTS;
  arguments.left = (uint8_t)(length - AT_ARGUMENTS);
  results.at = link->kept + 1;
  results.left = FPL_KEPT - 1;
  status = app->act(app->context, action, &arguments, &results);
  if (status != FPL_OK) return status;
  link->answered = (uint8_t)(FPL_KEPT - 1 - results.left);
  if (output != FPL_NO_OUTPUT) fpl_lease(link, output, fpl_get32(fpl_asked(link) + AT_LEASE));
  return FPL_OK;
}

/* fpl_do keeps the answer to an action, and gives it again to whoever repeats that. */
uint8_t fpl_do(struct fpl_link *link, uint8_t length) {
  uint16_t number = fpl_get16(link->input + FPL_AT_NUMBER);
  uint16_t ahead = (uint16_t)(number - link->done);
  if (!link->kept_length || (ahead && ahead < 0x8000)) {
    link->kept[0] = act(link, length);
    link->done = number;
    link->kept_length = (uint8_t)(1 + link->answered);
  } else if (ahead) {
    return FPL_STALE;
  }
  link->answered = (uint8_t)(link->kept_length - 1);
  memcpy(fpl_answer(link), link->kept + 1, link->answered);
  return link->kept[0];
}
