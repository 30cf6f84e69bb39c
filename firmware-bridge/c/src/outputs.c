/* outputs.c: outputs are safe when nobody minds them (SPEC.md, section 8). */
#include "internal.h"

void fpl_make_safe(struct fpl_link *link, bool leased) {
  const struct fpl_application *app = link->app;
  for (uint8_t i = 0; i < app->outputs; i++) {
    if (link->leases[i] && !leased) continue;
    link->leases[i] = 0;
    app->safe(app->context, i);
  }
}

void fpl_lease(struct fpl_link *link, uint8_t output, uint32_t lease) {
  uint32_t end = fpl_now(link) + lease;
  link->leases[output] = !lease ? 0 : end ? end : 1;
}

/* end_leases takes the safe state of outputs whose lease has run out. */
static void end_leases(struct fpl_link *link) {
  const struct fpl_application *app = link->app;
  for (uint8_t i = 0; i < app->outputs; i++)
    if (link->leases[i] && (int32_t)(fpl_now(link) - link->leases[i]) >= 0) {
      link->leases[i] = 0;
      app->safe(app->context, i);
    }
}

void fpl_guard(struct fpl_link *link) {
  end_leases(link);
  if (!fpl_connected(link) || !fpl_elapsed(link, link->heard, link->app->timeout)) return;
  link->safe = true;
  link->failsafes++;
  fpl_make_safe(link, false);
}
