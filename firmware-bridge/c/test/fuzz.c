/* fuzz.c: whatever comes, the library stays within its memory, and what it sends is well-formed.
 *
 * The input of libFuzzer is a row of steps. An input that begins with a zero is bytes of the line
 * instead, as the vectors have them. With FUZZ_REPLAY there is a main that takes such inputs from
 * files of vectors, and from files as the fuzzer leaves them:
 *
 *   fuzz-replay VECTORS.txt … [-o DIRECTORY]   also writes the vectors as seeds for the fuzzer
 */
#include "check.h"
#include "talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                  \
  do {                                                                   \
    if (condition) break;                                                \
    fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    abort();                                                             \
  } while (0)

static struct mixer mixer;

/* check_readings: each value is whole, and of a type that there is. */
static void check_readings(const struct heard *heard) {
  static const uint8_t sizes[] = {0, 1, 4, 4};
  uint8_t at = 10;
  while (at < heard->length) {
    MUST(at + 4 <= heard->length && (heard->payload[at + 3] & 0x0F) < 4);
    at = (uint8_t)(at + 4 + sizes[heard->payload[at + 3] & 3]);
  }
  MUST(at == heard->length && at > 10);
}

static void check_sent(void) {
  uint8_t frame[255];
  struct fpl_receiver receiver = {frame, sizeof frame, 0, 0, 0};
  struct heard heard;
  for (uint16_t at = 0; at < mixer.out_length; at++) MUST(fpl_receive(&receiver, mixer.out[at]) != FPL_BROKEN);
  while (hear(&mixer, &heard)) {
    MUST(heard.length <= FPL_PAYLOAD);
    MUST(heard.type > FPL_ANSWER);
    if (heard.type == FPL_READINGS) check_readings(&heard);
    if (heard.type < FPL_READINGS && heard.type != FPL_ANSWER + FPL_HELLO) MUST(heard.length && heard.payload[0] <= FPL_DENIED);
  }
  MUST(mixer.link.held <= MIXER_HELD && mixer.link.sent <= mixer.link.held && mixer.link.kept_length <= FPL_KEPT);
}

static void feed(const uint8_t *bytes, size_t n) {
  for (; n; n--, bytes++) {
    if (mixer.in_at == mixer.in_length) mixer.in_at = mixer.in_length = 0;
    if (mixer.in_length == sizeof mixer.in) return;
    mixer.in[mixer.in_length++] = *bytes;
  }
}

enum { RAW, FRAME, TIME, TELL, HELLO, BUSY, LOG, STEPS };

/* step carries out one, of at most n bytes, and returns how many it has used. */
static size_t step(const uint8_t *data, size_t n) {
  uint8_t what = data[0] % STEPS, argument = n > 1 ? data[1] : 0;
  size_t used = n < 2 ? n : 2, rest = n - used;
  uint8_t length = (uint8_t)(argument % (FPL_PAYLOAD + 8) < rest ? argument % (FPL_PAYLOAD + 8) : rest);
  if (what == RAW) feed(data + used, length);
  else if (what == FRAME && length) say(&mixer, data[used], mixer.link.session, data[0], data + used + 1, (uint8_t)(length - 1));
  else if (what == HELLO) say(&mixer, FPL_HELLO, argument, 1, data + used, length);
  else length = 0;
  if (what == TIME) mixer.now += (uint32_t)argument * argument;
  if (what == TELL) fpl_tell_int(&mixer.link, argument, argument);
  if (what == BUSY) mixer.unsent = argument % 4;
  if (what == LOG) fpl_log(&mixer.link, argument, "text", 4);
  return used + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct heard heard;
  mixer_start(&mixer, "device name=mixer\nfirmware name=mixer version=1.0.0\n", 0);
  begin_session(&mixer, &heard, SESSION); /* that of most vectors */
  if (size && !*data) {
    feed(data, size);
    size = 0;
  }
  do {
    size_t used = size ? step(data, size) : 0;
    data += used;
    size -= used;
    for (int i = 0; i < 3; i++) fpl_poll(&mixer.link);
    check_sent();
  } while (!mixer.restarts && (size || mixer.in_at < mixer.in_length));
  return 0;
}

#ifdef FUZZ_REPLAY
static void write_seed(const char *directory, int number, const uint8_t *bytes, size_t n) {
  char path[1024];
  FILE *file;
  snprintf(path, sizeof path, "%s/%d", directory, number);
  file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, n, file) != n || fclose(file)) perror(path), exit(1);
}

int main(int argc, char **argv) {
  static struct vectors v;
  const char *seeds = argc > 2 && !strcmp(argv[argc - 2], "-o") ? argv[argc - 1] : NULL;
  int cases = 0;
  for (int i = 1; i < argc && argv[i][0] != '-'; i++) {
    for (open_vectors(&v, "", argv[i]); next_vector(&v);) {
      for (int field = 0; field < v.count; field++) {
        static uint8_t bytes[1 << 14];
        size_t n = unhex(v.fields[field], bytes, sizeof bytes);
        LLVMFuzzerTestOneInput(bytes, n);
        if (seeds && n && n < sizeof mixer.in) write_seed(seeds, cases, bytes, n);
        cases++;
      }
    }
  }
  return finish("fuzz-replay", cases);
}
#endif
