/* node.c: an example of a device: two analog inputs, two digital ones whose pulses are counted, two
 * outputs that are safe when off, and a setting. It runs on an ATmega328P and, for tests, on a PC.
 * NODE_TEST adds what tests need: running numbers as fast as the link takes them, and a hang. */
#include <string.h>

#include "board.h"

#ifndef NODE_VERSION
#define NODE_VERSION "1.0.0"
#endif

enum { VOLTS = 1, LEVELS = 3, COUNTS = 5, STATES = 7, SERIAL = 9 }; /* the first channel of each kind */
enum { SWITCH = 1, BURST = 8, HANG = 9 };                         /* actions; SWITCH for each output */
enum { INTERVAL = 1 };                                            /* settings */
enum { SHORTEST = 10, USUAL = 1000, LONGEST = 30000 };            /* ms */
#ifndef NODE_HELD
#define NODE_HELD 8
#endif
enum { HELD = NODE_HELD /* readings */, TIMEOUT = 5000 /* ms until fail-safe */ };

static const char descriptor[] CONSTANT =
    "device name=node help=\"Example of a microcontroller\"\n"
    "firmware name=node version=" NODE_VERSION "\n"
    "channel id=1 name=a0 type=float unit=V min=0 max=5\n"
    "channel id=2 name=a1 type=float unit=V min=0 max=5\n"
    "channel id=3 name=in2 type=bool\n"
    "channel id=4 name=in3 type=bool\n"
    "channel id=5 name=count2 type=int\n"
    "channel id=6 name=count3 type=int\n"
    "channel id=7 name=out1 type=bool\n"
    "channel id=8 name=out2 type=bool\n"
    "action id=1 name=out1 idempotent lease\n"
    "arg name=on type=bool required safe=false\n"
    "result name=on type=bool\n"
    "action id=2 name=out2 idempotent lease\n"
    "arg name=on type=bool required safe=false\n"
    "result name=on type=bool\n"
    "setting id=1 name=interval type=int unit=ms min=10 max=30000\n"
#ifdef NODE_TEST
    "channel id=9 name=serial type=int\n"
    "action id=8 name=burst\n"
    "arg name=count type=int required\n"
    "action id=9 name=hang\n"
#endif
    ;

static const char interval_changed[] CONSTANT = "interval changed";
static const char watchdog_bit[] CONSTANT = "reset by the watchdog";

static struct fpl_port port;
static struct fpl_link link;
static struct fpl_reading readings[HELD];
static uint32_t leases[BOARD_OUTPUTS];
static uint32_t measured; /* when all was measured last */
static uint16_t interval;
static uint8_t states;    /* of outputs, a bit for each */
static uint8_t told_levels, told_states;
static bool told_reset;   /* that the watchdog has bitten */

/* The interval is stored twice, so that one of both is whole whenever power fails; each with its
 * complement, which tells a whole one. */
enum { COPIES = 2, COPY_SIZE = 4 };

static uint16_t load_interval(void) {
  uint8_t bytes[COPY_SIZE];
  for (uint8_t copy = 0; copy < COPIES; copy++) {
    for (uint8_t i = 0; i < COPY_SIZE; i++) bytes[i] = board_load((uint8_t)(copy * COPY_SIZE + i));
    if ((fpl_get16(bytes) ^ fpl_get16(bytes + 2)) == 0xFFFF) return fpl_get16(bytes);
  }
  return USUAL;
}

static void store_interval(void) {
  uint8_t bytes[COPY_SIZE];
  fpl_put16(bytes, interval);
  fpl_put16(bytes + 2, (uint16_t)~interval);
  for (uint8_t i = 0; i < COPIES * COPY_SIZE; i++) board_store(i, bytes[i % COPY_SIZE]);
}

static void switch_output(uint8_t output, bool on) {
  board_switch(output, on);
  states = (uint8_t)((states & ~(1u << output)) | (unsigned)on << output);
}

static void safe(void *context, uint8_t output) {
  (void)context;
  switch_output(output, false);
}

static uint8_t output(void *context, uint8_t action) {
  (void)context;
  return action >= SWITCH && action < SWITCH + BOARD_OUTPUTS ? (uint8_t)(action - SWITCH) : FPL_NO_OUTPUT;
}

#ifdef NODE_TEST
static int32_t serial, burst; /* numbers told, and still to be told */

/* tell_numbers leaves room for a measurement, which would take the place of numbers. */
static void tell_numbers(void) {
  for (; burst > 0 && fpl_room(&link) > 2 * BOARD_INPUTS; burst--) fpl_tell_int(&link, SERIAL, serial++);
}

static uint8_t act_test(uint8_t action, struct fpl_values *arguments) {
  struct fpl_value count;
  if (action == HANG)
    for (;;) {
    }
  if (action != BURST) return FPL_UNKNOWN;
  if (!fpl_take(arguments, &count) || count.type != FPL_INT || arguments->left) return FPL_INVALID;
  burst = count.as.integer;
  return FPL_OK;
}
#else
static void tell_numbers(void) {}

static uint8_t act_test(uint8_t action, struct fpl_values *arguments) {
  (void)action, (void)arguments;
  return FPL_UNKNOWN;
}
#endif

static uint8_t act(void *context, uint8_t action, struct fpl_values *arguments, struct fpl_values *results) {
  uint8_t which = output(context, action);
  struct fpl_value on;
  if (which == FPL_NO_OUTPUT) return act_test(action, arguments);
  if (!fpl_take(arguments, &on) || on.type != FPL_BOOL || arguments->left) return FPL_INVALID;
  switch_output(which, on.as.truth);
  fpl_put(results, &on);
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
  int32_t ms = value->as.integer;
  (void)context;
  if (setting != INTERVAL) return FPL_UNKNOWN;
  if (value->type != FPL_INT || ms < SHORTEST || ms > LONGEST) return FPL_INVALID;
  if (interval == ms) return FPL_OK;
  interval = (uint16_t)ms;
  store_interval();
  fpl_log_constant(&link, FPL_INFO, interval_changed, sizeof interval_changed - 1);
  return FPL_OK;
}

static const struct fpl_application application = {
    .descriptor = descriptor,
    .length = sizeof descriptor - 1,
    .timeout = TIMEOUT,
    .outputs = BOARD_OUTPUTS,
    .safe = safe,
    .output = output,
    .act = act,
    .get = get,
    .set = set,
};

/* measure tells all inputs each interval. */
static void measure(void) {
  uint32_t now = port.now(port.context);
  if (now - measured < interval) return;
  measured = now;
  for (uint8_t i = 0; i < BOARD_INPUTS; i++) {
    fpl_tell_float(&link, (uint8_t)(VOLTS + i), board_volts(i));
    fpl_tell_int(&link, (uint8_t)(COUNTS + i), board_count(i));
  }
}

/* tell_changes tells of each digital input and output whose bit is not as it was told last. */
static void tell_changes(uint8_t channel, uint8_t bits, uint8_t *told) {
  for (uint8_t i = 0; bits != *told; i++) {
    uint8_t bit = (uint8_t)(1u << i);
    if (!((bits ^ *told) & bit)) continue;
    *told ^= bit;
    fpl_tell_bool(&link, (uint8_t)(channel + i), bits & bit);
  }
}

static uint8_t levels(void) {
  uint8_t bits = 0;
  for (uint8_t i = 0; i < BOARD_INPUTS; i++) bits = (uint8_t)(bits | board_level(i) << i);
  return bits;
}

/* tell_reset logs once that the watchdog has bitten, as soon as somebody hears it. */
static void tell_reset(void) {
  if (told_reset || !fpl_connected(&link)) return;
  told_reset = true;
  if (port.cause && port.cause(port.context) == FPL_WATCHDOG)
    fpl_log_constant(&link, FPL_WARNING, watchdog_bit, sizeof watchdog_bit - 1);
}

void node_start(void) {
  board_open(&port);
  interval = load_interval();
  fpl_init(&link, &port, &application, readings, HELD, leases);
  told_levels = levels() ^ ((1 << BOARD_INPUTS) - 1); /* so that all are told once */
}

void node_poll(void) {
  fpl_poll(&link);
  measure();
  tell_changes(LEVELS, levels(), &told_levels);
  tell_changes(STATES, states, &told_states);
  tell_numbers();
  tell_reset();
}
