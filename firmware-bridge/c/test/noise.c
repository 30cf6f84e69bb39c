/* noise.c: readings and actions over a line that drops, changes and repeats bytes, and puts others
 * between them, in both directions. None is wrong, none is lost, and each action is carried out once.
 *
 *   noise [READINGS [SEED]]
 */
#include "check.h"
#include "talk.h"

enum { ONE_IN = 300, /* bytes that suffer something */ CHANNEL = 2, PATIENCE = 500 /* ms */ };

static struct mixer mixer;
static struct {
  uint32_t expected, asked_at; /* number of the next reading; when it was asked for last */
  int32_t value;               /* that it has */
  uint16_t number;             /* of the action under way */
  uint32_t sent_at;
  int done;
  uint32_t dropped, changed, repeated, inserted;
} gateway;

static uint32_t state = 1;

static uint32_t chance(uint32_t n) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % n;
}

/* spoil does to bytes what the line does, and returns how many there are then. */
static uint16_t spoil(const uint8_t *from, uint16_t n, uint8_t *to) {
  uint16_t length = 0;
  for (uint16_t i = 0; i < n; i++) {
    to[length] = from[i];
    switch (chance(ONE_IN)) {
      case 0: gateway.dropped++; continue;
      case 1: gateway.changed++; to[length] = (uint8_t)(to[length] ^ 1u << chance(8)); break;
      case 2: gateway.repeated++; to[++length] = from[i]; break;
      case 3: gateway.inserted++; to[++length] = (uint8_t)chance(256); break;
    }
    length++;
  }
  return length;
}

static void take_readings(const struct heard *heard) {
  uint32_t first = fpl_get32(heard->payload);
  uint8_t ack[5] = {0};
  CHECK(first - fpl_get16(heard->payload + 4) <= gateway.expected, "%u is lost", (unsigned)gateway.expected);
  if (first > gateway.expected) {
    if (mixer.now - gateway.asked_at < 100 && gateway.asked_at) return;
    gateway.asked_at = mixer.now;
    ack[4] = 1;
  }
  for (uint8_t at = 10; at < heard->length; at = (uint8_t)(at + 8), first++) {
    if (first != gateway.expected) continue;
    CHECK(heard->payload[at] == CHANNEL && (int32_t)fpl_get32(heard->payload + at + 4) == gateway.value,
          "reading %u is wrong", (unsigned)first);
    gateway.expected++;
    gateway.value++;
    gateway.asked_at = 0;
  }
  fpl_put32(ack, gateway.expected);
  say(&mixer, FPL_ACK, SESSION, 0, ack, sizeof ack);
}

static const uint8_t dose[] = {2, 0, 0, 0, 0, FPL_FLOAT, 0, 0, 0x80, 0x3F};

static void act(void) {
  if (gateway.sent_at && mixer.now - gateway.sent_at < PATIENCE) return;
  gateway.sent_at = mixer.now;
  say(&mixer, FPL_DO, SESSION, gateway.number, dose, sizeof dose);
}

/* pass lets the line carry what either side has sent, and the gateway answer. */
static void pass(void) {
  static uint8_t line[1 << 15], open[1 << 12]; /* open: the frame that has not ended */
  static uint16_t held;
  struct heard heard;
  uint16_t n = spoil(mixer.out, mixer.out_length, line);
  memcpy(mixer.out, open, held);
  memcpy(mixer.out + held, line, n);
  mixer.out_length = (uint16_t)(held + n);
  for (held = 0; held < mixer.out_length && mixer.out[mixer.out_length - 1 - held]; held++) continue;
  memcpy(open, mixer.out + mixer.out_length - held, held);
  mixer.out_length = (uint16_t)(mixer.out_length - held);
  mixer.in_at = mixer.in_length = 0;
  while (hear(&mixer, &heard)) {
    if (heard.session != SESSION) continue;
    if (heard.type == FPL_READINGS) take_readings(&heard);
    if (heard.type != FPL_DO + FPL_ANSWER || heard.number != gateway.number) continue;
    CHECK(heard.payload[0] == FPL_OK, "status %d", heard.payload[0]);
    gateway.done++;
    gateway.number = (uint16_t)(gateway.number == 0xFFFF ? 1 : gateway.number + 1);
    gateway.sent_at = 0;
  }
  act();
  n = spoil(mixer.in, mixer.in_length, line);
  if (n > sizeof mixer.in) n = sizeof mixer.in;
  memcpy(mixer.in, line, n);
  mixer.in_length = n;
}

int main(int argc, char **argv) {
  int32_t told = 0, count = argc > 1 ? atoi(argv[1]) : 20000;
  struct heard heard;
  if (argc > 2) state = (uint32_t)strtoul(argv[2], NULL, 0) | 1;
  mixer_start(&mixer, "device name=mixer\nfirmware name=mixer version=1.0.0\n", 0);
  begin_session(&mixer, &heard, SESSION);
  for (gateway.number = 1; gateway.value < count && mixer.now < 10000000; mixer.now += 2) {
    while (told < count && fpl_room(&mixer.link)) fpl_tell_int(&mixer.link, CHANNEL, told++);
    for (int i = 0; i < 4; i++) fpl_poll(&mixer.link);
    pass();
  }
  CHECK(gateway.value == count, "%d readings of %d", (int)gateway.value, (int)count);
  CHECK(mixer.doses - gateway.done == 0 || mixer.doses - gateway.done == 1, "%d actions, %d answers", mixer.doses,
        gateway.done);
  printf("noise: bytes dropped %u, changed %u, repeated %u, inserted %u; damaged frames %u, actions %d\n",
         (unsigned)gateway.dropped, (unsigned)gateway.changed, (unsigned)gateway.repeated, (unsigned)gateway.inserted,
         mixer.link.damaged, mixer.doses);
  return finish("noise", gateway.value);
}
