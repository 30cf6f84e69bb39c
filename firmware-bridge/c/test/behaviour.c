/* behaviour.c: what the library does as time passes. */
#include "check.h"
#include "talk.h"

static struct mixer mixer;
static struct heard heard;
static int cases;

static const char descriptor[] = "device name=mixer\nfirmware name=mixer version=1.0.0\n";

static void start(void) {
  cases++;
  mixer_start(&mixer, descriptor, 1000);
  begin_session(&mixer, &heard, SESSION);
}

static const uint8_t on[] = {1, 0, 0, 0, 0, FPL_BOOL, 1};
static const uint8_t on_for_8s[] = {1, 0x40, 0x1F, 0, 0, FPL_BOOL, 1};
static const uint8_t ping[8];

static void outputs_are_safe_without_a_gateway(void) {
  start();
  CHECK(mixer.safe == 1, "safe was called %d times at the start", mixer.safe);
  ask(&mixer, &heard, FPL_DO, 1, on, sizeof on);
  let_pass(&mixer, 4999);
  CHECK(mixer.on, "the output is safe too early");
  let_pass(&mixer, 2);
  CHECK(!mixer.on, "the output is not safe");
  ask(&mixer, &heard, FPL_PING, 2, ping, sizeof ping);
  CHECK(heard.payload[5] == 1, "fail-safe counts %d", heard.payload[5]);
  CHECK(!mixer.on, "the output is on again by itself");
}

static void heartbeats_keep_outputs(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on, sizeof on);
  for (uint16_t i = 2; i < 20; i++) {
    let_pass(&mixer, 4000);
    ask(&mixer, &heard, FPL_PING, i, ping, sizeof ping);
  }
  CHECK(mixer.on, "the output is safe in spite of heartbeats");
}

static void a_lease_outlives_the_gateway_and_ends(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on_for_8s, sizeof on_for_8s);
  let_pass(&mixer, 7999);
  CHECK(mixer.on, "the lease has ended early");
  let_pass(&mixer, 2);
  CHECK(!mixer.on, "the lease has not ended");
}

static void a_lease_is_replaced(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on_for_8s, sizeof on_for_8s);
  ask(&mixer, &heard, FPL_DO, 2, on, sizeof on);
  let_pass(&mixer, 5001);
  CHECK(!mixer.on, "an output without a lease is not safe");
}

static void a_new_session_moves_nothing(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on, sizeof on);
  let_pass(&mixer, 3000);
  begin_session(&mixer, &heard, SESSION + 1);
  CHECK(fpl_get16(heard.payload + 12) == SESSION, "last is %x", fpl_get16(heard.payload + 12));
  let_pass(&mixer, 4000);
  CHECK(mixer.on && mixer.safe == 1, "the output has moved");
}

static void an_action_is_carried_out_once(void) {
  static const uint8_t dose[] = {2, 0, 0, 0, 0, FPL_FLOAT, 0, 0, 0x80, 0x3F};
  start();
  for (int i = 0; i < 5; i++) {
    ask(&mixer, &heard, FPL_DO, 0xFFFF, dose, sizeof dose);
    CHECK(heard.length == 6 && heard.payload[0] == FPL_OK, "answer %d is another", i);
  }
  CHECK(mixer.doses == 1, "%d doses", mixer.doses);
  ask(&mixer, &heard, FPL_DO, 1, dose, sizeof dose); /* the number has wrapped */
  ask(&mixer, &heard, FPL_DO, 0xFFFF, dose, sizeof dose);
  CHECK(heard.payload[0] == FPL_STALE && mixer.doses == 2, "status %d, %d doses", heard.payload[0], mixer.doses);
}

static bool next_readings(uint32_t first, uint16_t held) {
  return hear(&mixer, &heard) && heard.type == FPL_READINGS && fpl_get32(heard.payload) == first &&
         fpl_get16(heard.payload + 4) == held;
}

static void acknowledge(uint32_t next, uint8_t repeat) {
  uint8_t ack[5];
  fpl_put32(ack, next);
  ack[4] = repeat;
  say(&mixer, FPL_ACK, SESSION, 0, ack, sizeof ack);
  fpl_poll(&mixer.link);
  fpl_poll(&mixer.link);
}

static void readings_are_held_until_acknowledged(void) {
  start();
  fpl_tell_int(&mixer.link, 1, 42);
  fpl_tell_float(&mixer.link, 2, 1.5f);
  fpl_poll(&mixer.link);
  CHECK(next_readings(0, 0) && heard.length == 26, "%d bytes", heard.length);
  fpl_tell_bool(&mixer.link, 3, true);
  fpl_poll(&mixer.link);
  CHECK(next_readings(2, 2), "first %u", (unsigned)fpl_get32(heard.payload));
  acknowledge(1, 1);
  CHECK(next_readings(1, 0), "not sent anew from 1");
  acknowledge(3, 0);
  let_pass(&mixer, 3000);
  CHECK(!hear(&mixer, &heard), "what was acknowledged is sent again");
  CHECK(fpl_room(&mixer.link) == MIXER_HELD, "room for %d", fpl_room(&mixer.link));
  acknowledge(7, 0);
  CHECK(fpl_room(&mixer.link) == MIXER_HELD, "an ACK of what never was is taken");
}

static void readings_are_sent_anew_with_growing_pauses(void) {
  static const uint32_t pauses[] = {100, 200, 400, 800, 1600, 2000, 2000};
  start();
  fpl_tell_int(&mixer.link, 1, 42);
  fpl_poll(&mixer.link);
  CHECK(next_readings(0, 0), "not sent");
  for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
    for (uint32_t ms = 0; ms < pauses[i] - 3; ms++) {
      let_pass(&mixer, 1);
      if (ms % 500 == 0) say(&mixer, FPL_PING, SESSION, 9, ping, sizeof ping); /* heartbeats */
    }
    while (hear(&mixer, &heard)) CHECK(heard.type != FPL_READINGS, "sent early, attempt %d", (int)i);
    let_pass(&mixer, 3);
    while (hear(&mixer, &heard) && heard.type != FPL_READINGS) continue;
    CHECK(heard.type == FPL_READINGS, "not sent again, attempt %d", (int)i);
  }
}

static void the_oldest_reading_goes_and_is_missed(void) {
  start();
  for (int i = 0; i < MIXER_HELD + 3; i++) fpl_tell_int(&mixer.link, 1, i);
  begin_session(&mixer, &heard, SESSION);
  CHECK(fpl_get32(heard.payload + 18) == 0, "next is %u", (unsigned)fpl_get32(heard.payload + 18));
  fpl_poll(&mixer.link);
  CHECK(next_readings(3, 0), "the oldest is %u", (unsigned)fpl_get32(heard.payload));
}

static void many_readings_can_be_held(void) {
  static struct fpl_reading many[255];
  start();
  fpl_init(&mixer.link, &mixer.port, &mixer.application, many, 255, mixer.leases);
  begin_session(&mixer, &heard, SESSION);
  for (int i = 0; i < 400; i++) fpl_tell_int(&mixer.link, 1, i);
  let_pass(&mixer, 60);
  for (uint32_t number = 145; number < 400;) {
    CHECK(hear(&mixer, &heard) && fpl_get32(heard.payload) == number, "reading %u is missing", (unsigned)number);
    for (uint8_t at = 10; at < heard.length && !failures; at = (uint8_t)(at + 8), number++)
      CHECK(fpl_get32(heard.payload + at + 4) == number, "%u is wrong", (unsigned)number);
    if (failures) return;
  }
}

static void numbers_of_readings_wrap(void) {
  start();
  mixer.link.oldest = mixer.link.next = 0xFFFFFFFE;
  for (int i = 0; i < 4; i++) fpl_tell_int(&mixer.link, 1, i);
  fpl_poll(&mixer.link);
  CHECK(next_readings(0xFFFFFFFE, 0), "first %x", (unsigned)fpl_get32(heard.payload));
  acknowledge(1, 0);
  CHECK(mixer.link.held == 1 && mixer.link.oldest == 1, "%d held", mixer.link.held);
}

static void a_long_pause_ends_a_frame_of_readings(void) {
  start();
  fpl_tell_int(&mixer.link, 1, 1);
  mixer.now += 70000;
  fpl_tell_int(&mixer.link, 1, 2);
  acknowledge(0, 0); /* ends fail-safe */
  CHECK(next_readings(0, 0) && heard.length == 18, "%d bytes", heard.length);
  fpl_poll(&mixer.link);
  CHECK(next_readings(1, 1), "the second is missing");
}

static void nothing_is_begun_while_the_line_is_busy(void) {
  start();
  mixer.unsent = 3;
  say(&mixer, FPL_PING, SESSION, 1, ping, sizeof ping);
  say(&mixer, FPL_PING, SESSION, 2, ping, sizeof ping);
  fpl_tell_int(&mixer.link, 1, 1);
  fpl_poll(&mixer.link), fpl_poll(&mixer.link);
  CHECK(!mixer.out_length, "%d bytes are out", mixer.out_length);
  let_pass(&mixer, 5);
  CHECK(hear(&mixer, &heard) && heard.number == 1, "the first request is not answered first");
  CHECK(hear(&mixer, &heard) && heard.number == 2, "the second is not answered second");
  CHECK(next_readings(0, 0), "the reading is not sent");
}

static void log_lines_are_numbered(void) {
  mixer_start(&mixer, descriptor, 1000);
  cases++;
  fpl_log(&mixer.link, FPL_INFO, "lost", 4);
  begin_session(&mixer, &heard, SESSION);
  fpl_log(&mixer.link, FPL_ERROR, "this one is much longer than there is room for in one frame of the link, so it is cut", 85);
  CHECK(hear(&mixer, &heard) && heard.type == FPL_LOG && heard.number == 1 && heard.length == FPL_PAYLOAD &&
            heard.payload[0] == FPL_ERROR,
        "number %d, %d bytes", heard.number, heard.length);
}

static void lines_amid_requests_leave_whole(void) {
  static const uint8_t interval[] = {1, FPL_INT, 200, 0, 0, 0};
  start();
  mixer.slow = 3;
  mixer.chatty = true;
  say(&mixer, FPL_SET, SESSION, 1, interval, sizeof interval);
  say(&mixer, FPL_DO, SESSION, 1, on, sizeof on);
  let_pass(&mixer, 50);
  CHECK(hear(&mixer, &heard) && heard.type == FPL_LOG && !memcmp(heard.payload + 5, "changed", 7), "no line of SET");
  CHECK(hear(&mixer, &heard) && heard.type == FPL_SET + FPL_ANSWER && heard.payload[2] == 200, "no answer to SET");
  CHECK(hear(&mixer, &heard) && heard.type == FPL_LOG && !memcmp(heard.payload + 5, "set", 3), "no line of DO");
  CHECK(hear(&mixer, &heard) && heard.type == FPL_DO + FPL_ANSWER && heard.length == 3 && heard.payload[2] == 1,
        "no answer to DO");
}

static void an_echo_is_no_gateway(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on, sizeof on);
  for (int i = 0; i < 6; i++) {
    say(&mixer, FPL_READINGS, SESSION, 0, "", 0);
    say(&mixer, FPL_PING + FPL_ANSWER, SESSION, 2, ping, sizeof ping);
    let_pass(&mixer, 1000);
  }
  CHECK(!mixer.on, "what it says itself keeps its output on");
}

static void the_loader_gets_its_turn(void) {
  start();
  ask(&mixer, &heard, FPL_DO, 1, on, sizeof on);
  ask(&mixer, &heard, FPL_LOADER, 2, "", 0);
  CHECK(heard.payload[0] == FPL_OK && !mixer.on, "status %d, output %d", heard.payload[0], mixer.on);
  mixer.unsent = 2;
  fpl_poll(&mixer.link);
  CHECK(!mixer.restarts, "the answer has not left yet");
  let_pass(&mixer, 2);
  CHECK(mixer.restarts, "no restart");
}

static void an_image_on_trial_must_be_confirmed(void) {
  cases++;
  for (int confirm = 0; confirm < 2; confirm++) {
    mixer_start(&mixer, descriptor, 0);
    mixer.image = FPL_IMAGE_TRIAL;
    fpl_init(&mixer.link, &mixer.port, &mixer.application, mixer.readings, MIXER_HELD, mixer.leases);
    begin_session(&mixer, &heard, SESSION);
    if (confirm) ask(&mixer, &heard, FPL_CONFIRM, 1, "", 0);
    let_pass(&mixer, 59999);
    CHECK(!mixer.restarts, "a restart too early");
    let_pass(&mixer, 2);
    CHECK((mixer.restarts > 0) != confirm, "confirmed %d: %d restarts", confirm, mixer.restarts);
  }
}

static void a_text_that_is_too_long_is_no_answer(void) {
  start();
  ask(&mixer, &heard, FPL_GET, 1, "\2", 1);
  CHECK(heard.payload[0] == FPL_OK && heard.length == 3 + 41, "status %d, %d bytes", heard.payload[0], heard.length);
  for (int length = 10; length < 256; length++) {
    static const char text[256];
    uint8_t room[11];
    struct fpl_values values = {room, sizeof room};
    const struct fpl_value value = {.type = FPL_TEXT, .length = (uint8_t)length, .as.text = text};
    CHECK(!fpl_put(&values, &value) && values.left == sizeof room, "a text of %d is put", length);
  }
}

int main(void) {
  outputs_are_safe_without_a_gateway();
  heartbeats_keep_outputs();
  a_lease_outlives_the_gateway_and_ends();
  a_lease_is_replaced();
  a_new_session_moves_nothing();
  an_action_is_carried_out_once();
  readings_are_held_until_acknowledged();
  readings_are_sent_anew_with_growing_pauses();
  the_oldest_reading_goes_and_is_missed();
  many_readings_can_be_held();
  numbers_of_readings_wrap();
  a_long_pause_ends_a_frame_of_readings();
  nothing_is_begun_while_the_line_is_busy();
  log_lines_are_numbered();
  lines_amid_requests_leave_whole();
  an_echo_is_no_gateway();
  the_loader_gets_its_turn();
  an_image_on_trial_must_be_confirmed();
  a_text_that_is_too_long_is_no_answer();
  return finish("behaviour", cases);
}
