/* dialog.c: the library says what handshake.txt has it say, byte by byte.
 *
 *   dialog DIRECTORY
 */
#include "check.h"
#include "mixer.h"

static struct mixer mixer;
static int cases;

static void start(const char *directory) {
  char path[1024], descriptor[1024] = "";
  FILE *file;
  snprintf(path, sizeof path, "%s/descriptor-mixer.txt", directory);
  file = fopen(path, "r");
  if (!file || !fread(descriptor, 1, sizeof descriptor - 1, file)) perror(path), exit(1);
  fclose(file);
  mixer_start(&mixer, descriptor, 0);
}

/* take lets the device read what has come, and answer it. */
static void take(void) {
  mixer.out_length = 0;
  for (int i = 0; i < 3; i++) fpl_poll(&mixer.link);
  CHECK(mixer.in_at == mixer.in_length, "line %d: not all was read", cases);
}

static void answer(const unsigned char *want, size_t n) {
  take();
  CHECK(mixer.out_length == n && !memcmp(mixer.out, want, n), "line %d: the answer is another", cases);
}

static void ask(const unsigned char *wire, size_t n) {
  if (mixer.in_at < mixer.in_length) {
    take();
    CHECK(!mixer.out_length, "line %d: what stands before it is answered", cases);
  }
  memcpy(mixer.in, wire, n);
  mixer.in_at = 0;
  mixer.in_length = (uint16_t)n;
}

int main(int argc, char **argv) {
  struct vectors v;
  const char *directory = argc > 1 ? argv[1] : ".";
  start(directory);
  for (open_vectors(&v, directory, "handshake.txt"); next_vector(&v); cases++) {
    unsigned char wire[300];
    size_t n = unhex(v.fields[1], wire, sizeof wire);
    if (*v.fields[0] == '@') mixer.now = (uint32_t)atol(v.fields[1]);
    else if (*v.fields[0] == '<') answer(wire, n);
    else ask(wire, n);
  }
  CHECK(!mixer.doses && !mixer.on, "%d doses, the motor is %d", mixer.doses, mixer.on);
  return finish("dialog", cases);
}
