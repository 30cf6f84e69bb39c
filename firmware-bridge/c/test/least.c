/* least.c: the least device that uses all of the library, for test/footprint. It answers the exercise
 * like the node, but has nothing behind it. */
#include <avr/pgmspace.h>

#include "../port/avr/fpl_avr.h"

enum { HELD = 8, OUTPUT = 1, BURST = 8, SERIAL = 9, INTERVAL = 1 };

static const char descriptor[] PROGMEM = "device name=least\nfirmware name=least version=1.0.0\n";
static const char started[] PROGMEM = "started";

static struct fpl_port port;
static struct fpl_link link;
static struct fpl_reading readings[HELD];
static uint32_t leases[1];
static int32_t serial;
static int16_t burst, interval;

static void safe(void *context, uint8_t output) { (void)context, (void)output; }

static uint8_t output(void *context, uint8_t action) {
  (void)context;
  return action == OUTPUT ? 0 : FPL_NO_OUTPUT;
}

static uint8_t act(void *context, uint8_t action, struct fpl_values *arguments, struct fpl_values *results) {
  struct fpl_value value;
  (void)context;
  if (action != OUTPUT && action != BURST) return FPL_UNKNOWN;
  if (!fpl_take(arguments, &value) || arguments->left) return FPL_INVALID;
  if (value.type != (action == OUTPUT ? FPL_BOOL : FPL_INT)) return FPL_INVALID;
  if (action == BURST) burst = (int16_t)value.as.integer;
  else fpl_put(results, &value);
  return FPL_OK;
}

static uint8_t get(void *context, uint8_t setting, struct fpl_value *value) {
  (void)context;
  if (setting != INTERVAL) return FPL_UNKNOWN;
  value->type = FPL_INT;
  value->as.integer = interval;
  return FPL_OK;
}

static uint8_t set(void *context, uint8_t setting, struct fpl_value *value) {
  (void)context;
  if (setting != INTERVAL) return FPL_UNKNOWN;
  if (value->type != FPL_INT || value->as.integer < 10) return FPL_INVALID;
  interval = (int16_t)value->as.integer;
  fpl_log_constant(&link, FPL_INFO, started, sizeof started - 1);
  fpl_log(&link, FPL_INFO, "", 0);
  return FPL_OK;
}

static const struct fpl_application application = {
    .descriptor = descriptor,
    .length = sizeof descriptor - 1,
    .timeout = 5000,
    .outputs = 1,
    .safe = safe,
    .output = output,
    .act = act,
    .get = get,
    .set = set,
};

int main(void) {
  fpl_avr_open(&port);
  fpl_init(&link, &port, &application, readings, HELD, leases);
  fpl_tell_bool(&link, SERIAL + 1, true);
  fpl_tell_float(&link, SERIAL + 2, 1.5f);
  for (;;) {
    fpl_poll(&link);
    if (burst > 0 && fpl_room(&link)) fpl_tell_int(&link, SERIAL, serial++), burst--;
  }
}
