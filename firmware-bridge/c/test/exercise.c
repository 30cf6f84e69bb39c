/* exercise.c: a gateway that asks the node (examples/node, built with NODE_TEST) for everything once,
 * takes some thousand readings, and checks all that comes.
 *
 *   exercise LINK [READINGS]
 *
 * With 0 readings it asks for what every device has.
 *
 * It runs against mcu-host and against an ATmega in simavr, where it is what the depth of the stack is
 * measured under. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../src/fieldpost_link.h"
#include "check.h"

enum { ATTEMPTS = 5, PATIENCE = 500 /* ms */, SERIAL = 9, BURST = 8 };

static struct {
  int fd;
  struct fpl_receiver receiver;
  uint8_t frame[255];
  uint16_t session, number;
  uint32_t expected; /* number of the next reading */
  int32_t serial;    /* what it says, if it is of that channel */
  int readings, frames, logs, cases, bytes;
} gateway;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void send(uint8_t type, uint16_t number, const void *payload, uint8_t length) {
  uint8_t wire[FPL_LONGEST + FPL_WRAPPING], size;
  wire[2 + FPL_AT_VERSION] = FPL_VERSION;
  wire[2 + FPL_AT_TYPE] = type;
  fpl_put16(wire + 2 + FPL_AT_SESSION, gateway.session);
  fpl_put16(wire + 2 + FPL_AT_NUMBER, number);
  memcpy(wire + 2 + FPL_HEADER, payload, length);
  size = fpl_seal(wire, (uint8_t)(FPL_HEADER + length));
  if (write(gateway.fd, wire, size) != size) perror("write"), exit(1);
}

static const uint8_t *payload(void) { return gateway.frame + FPL_HEADER; }

static uint8_t length(void) { return (uint8_t)(gateway.receiver.length - FPL_OVERHEAD); }

/* take_readings hands on what is expected, and acknowledges. */
static void take_readings(void) {
  static const uint8_t sizes[] = {0, 1, 4, 4};
  uint32_t first = fpl_get32(payload());
  uint8_t ack[5] = {0};
  gateway.frames++;
  CHECK(first - fpl_get16(payload() + 4) <= gateway.expected, "reading %u is lost", (unsigned)gateway.expected);
  for (uint8_t at = 10; at < length(); first++) {
    const uint8_t *reading = payload() + at;
    at = (uint8_t)(at + 4 + sizes[reading[3] & 3]);
    if (first != gateway.expected) continue;
    gateway.expected++;
    if (*reading != SERIAL) continue;
    CHECK(fpl_get32(reading + 4) == (uint32_t)gateway.serial, "%u instead of %d", (unsigned)fpl_get32(reading + 4),
          gateway.serial);
    gateway.serial++;
    gateway.readings++;
  }
  fpl_put32(ack, gateway.expected);
  ack[4] = fpl_get32(payload()) > gateway.expected;
  send(FPL_ACK, 0, ack, sizeof ack);
}

/* receive waits for a frame of that type and number, and minds the others. */
static int receive(uint8_t type, uint16_t number, int patience) {
  for (double end = seconds() + patience / 1e3; seconds() < end;) {
    struct pollfd on = {gateway.fd, POLLIN, 0};
    uint8_t byte;
    if (poll(&on, 1, 10) < 1 || read(gateway.fd, &byte, 1) != 1) continue;
    gateway.bytes++;
    if (fpl_receive(&gateway.receiver, byte) != FPL_FRAME) continue;
    if (fpl_get16(gateway.frame + FPL_AT_SESSION) != gateway.session) continue;
    if (gateway.frame[FPL_AT_TYPE] == FPL_READINGS) take_readings();
    if (gateway.frame[FPL_AT_TYPE] == FPL_LOG) gateway.logs++;
    if (gateway.frame[FPL_AT_TYPE] == type && fpl_get16(gateway.frame + FPL_AT_NUMBER) == number) return 1;
  }
  return 0;
}

static void request(uint8_t type, const void *bytes, uint8_t size) {
  gateway.cases++;
  gateway.number++;
  for (int i = 0; i < ATTEMPTS; i++) {
    send(type, gateway.number, bytes, size);
    if (receive((uint8_t)(type + FPL_ANSWER), gateway.number, PATIENCE)) return;
  }
  fprintf(stderr, "request %02x is not answered\n", type);
  exit(1);
}

/* ask makes a request, and compares the answer. */
static void ask(uint8_t type, const char *hex, const char *answer) {
  uint8_t bytes[FPL_PAYLOAD], want[FPL_PAYLOAD];
  size_t n = unhex(answer, want, sizeof want);
  request(type, bytes, (uint8_t)unhex(hex, bytes, sizeof bytes));
  CHECK(length() == n && !memcmp(payload(), want, n), "the answer to %02x %s is another: status %d, %d bytes", type,
        hex, *payload(), length());
}

static void begin(void) {
  uint8_t hello[4] = {FPL_VERSION, 0, 0xFF, 0};
  gateway.session = (uint16_t)(getpid() | 1);
  for (int i = 0; i < 20; i++) {
    send(FPL_HELLO, 0, hello, sizeof hello);
    if (!receive(FPL_HELLO + FPL_ANSWER, 0, PATIENCE)) continue;
    gateway.expected = fpl_get32(payload() + 18);
    return;
  }
  fprintf(stderr, "nobody is there\n");
  exit(1);
}

static void describe(void) {
  uint8_t hello_hash[4], offset[2];
  uint16_t size = fpl_get16(payload() + 22);
  uint32_t crc = 0;
  memcpy(hello_hash, payload() + 24, 4);
  for (uint16_t at = 0; at < size; at = (uint16_t)(at + length() - 1)) {
    fpl_put16(offset, at);
    request(FPL_DESCRIBE, offset, sizeof offset);
    crc = fpl_crc(crc, payload() + 1, (uint8_t)(length() - 1));
  }
  CHECK(crc == fpl_get32(hello_hash), "the descriptor's hash is another");
}

static void take_burst(int32_t count) {
  uint8_t arguments[10] = {BURST, 0, 0, 0, 0, FPL_INT};
  double start = seconds();
  fpl_put32(arguments + 6, (uint32_t)count);
  request(FPL_DO, arguments, sizeof arguments);
  gateway.bytes = 0;
  while (gateway.readings < count && seconds() - start < 60) receive(0, 0, 100);
  CHECK(gateway.readings == count, "%d readings of %d", gateway.readings, count);
  printf("exercise: %.0f frames/s, %.0f readings/s, %.0f %% of a line of 115200 baud\n",
         gateway.frames / (seconds() - start), gateway.readings / (seconds() - start),
         gateway.bytes / (seconds() - start) / 115.2);
}

int main(int argc, char **argv) {
  int count = argc > 2 ? atoi(argv[2]) : 1000;
  struct termios mode;
  gateway.receiver.frame = gateway.frame;
  gateway.receiver.size = sizeof gateway.frame;
  gateway.fd = open(argc > 1 ? argv[1] : "", O_RDWR | O_NOCTTY);
  if (gateway.fd < 0 || tcgetattr(gateway.fd, &mode) < 0) return perror("exercise: LINK"), 1;
  begin();
  describe();
  if (count == 0) return finish("exercise", gateway.cases); /* not the node */
  ask(FPL_DO, "01f40100000101", "000101"); /* leased for half a second */
  ask(FPL_DO, "010000000001", "02");       /* an argument that is cut */
  ask(FPL_DO, "0900", "02");
  ask(FPL_DO, "7700000000", "03");
  ask(FPL_DO, "08e80300000201000000", "02"); /* no lease for that */
  ask(FPL_SET, "0102f4010000", "0002f4010000");
  ask(FPL_SET, "010205000000", "02");
  ask(FPL_SET, "0103000080bf", "02");
  ask(FPL_SET, "010403e282ac", "02");
  ask(FPL_SET, "0500", "03");
  ask(FPL_GET, "01", "0002f4010000");
  ask(FPL_GET, "09", "03");
  ask(FPL_SET, "0102e8030000", "0002e8030000");
  ask(0x4F, "010203", "01");
  take_burst(count);
  request(FPL_PING, "\0\0\0\0\0\0\0", 8);
  CHECK(payload()[5] == 0, "fail-safe was taken %d times", payload()[5]);
  return finish("exercise", gateway.cases);
}
