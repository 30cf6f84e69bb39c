/* vectors.c: the library agrees with the vectors of the specification.
 *
 *   vectors DIRECTORY
 */
#include "../src/fieldpost_link.h"
#include "check.h"

static int cases;

static void crc(const char *directory) {
  struct vectors v;
  unsigned char bytes[4200];
  for (open_vectors(&v, directory, "crc.txt"); next_vector(&v); cases++) {
    size_t n = unhex(v.fields[0], bytes, sizeof bytes);
    uint32_t got = 0;
    for (size_t at = 0; at < n; at += 100) /* in pieces, as the library does */
      got = fpl_crc(got, bytes + at, (uint8_t)(n - at < 100 ? n - at : 100));
    CHECK(got == strtoul(v.fields[1], NULL, 16), "CRC of %.40s is %08x", v.fields[0], (unsigned)got);
  }
}

/* receive gives bytes to a receiver, counts what it finds, and keeps the last frame. */
static struct {
  struct fpl_receiver receiver;
  uint8_t frame[255];
  int good, bad;
} line;

static void receive(const char *hex) {
  unsigned char bytes[1 << 14];
  size_t n = unhex(hex, bytes, sizeof bytes);
  memset(&line, 0, sizeof line);
  line.receiver.frame = line.frame;
  line.receiver.size = sizeof line.frame;
  for (size_t i = 0; i < n; i++) {
    enum fpl_arrival arrival = fpl_receive(&line.receiver, bytes[i]);
    line.good += arrival == FPL_FRAME;
    line.bad += arrival == FPL_BROKEN;
  }
}

static void cobs(const char *directory) {
  struct vectors v;
  unsigned char want[4200];
  char wire[1 << 14];
  for (open_vectors(&v, directory, "cobs.txt"); next_vector(&v); cases++) {
    size_t n = unhex(v.fields[1], want, sizeof want);
    if (n > sizeof line.frame) continue;
    snprintf(wire, sizeof wire, "%s00", v.fields[2]);
    receive(wire);
    if (strcmp(v.fields[0], "bad"))
      CHECK(line.receiver.length == n && !memcmp(line.frame, want, n), "%.60s is not decoded right", v.fields[2]);
    else CHECK(line.good == 0 && line.bad == 1, "%s is taken for a frame", v.fields[2]);
  }
}

/* good: a frame is understood, and made. */
static void good(struct vectors *v) {
  unsigned char payload[255], wire[300], sealed[300];
  size_t n = unhex(v->fields[4], payload, sizeof payload), wired = unhex(v->fields[5], wire, sizeof wire);
  if (n + FPL_OVERHEAD > FPL_LONGEST) return;
  receive(v->fields[5]);
  CHECK(line.good == 1 && line.bad == 0, "%.60s is not a frame", v->fields[5]);
  CHECK(line.receiver.length == n + FPL_OVERHEAD && !memcmp(line.frame + FPL_HEADER, payload, n),
        "%.60s is not decoded right", v->fields[5]);
  CHECK(line.frame[FPL_AT_TYPE] == strtoul(v->fields[1], NULL, 16) &&
            fpl_get16(line.frame + FPL_AT_SESSION) == strtoul(v->fields[2], NULL, 16) &&
            fpl_get16(line.frame + FPL_AT_NUMBER) == strtoul(v->fields[3], NULL, 16),
        "header of %.60s", v->fields[5]);
  memcpy(sealed + 2, line.frame, FPL_HEADER + n);
  CHECK(fpl_seal(sealed, (uint8_t)(FPL_HEADER + n)) == wired && !memcmp(sealed, wire, wired), "%.60s is made otherwise",
        v->fields[5]);
}

static void frames(const char *directory) {
  struct vectors v;
  for (open_vectors(&v, directory, "frames.txt"); next_vector(&v); cases++) {
    char wire[1 << 14];
    if (!strcmp(v.fields[0], "ok")) {
      good(&v);
      continue;
    }
    /* what follows must be understood: PING */
    snprintf(wire, sizeof wire, "%s%s", v.fields[1], "000601025c2a010101010101010101055bd0a58200");
    receive(wire);
    CHECK(line.good == 1 && line.bad == 1, "%s: %d good, %d bad", v.fields[2], line.good, line.bad);
  }
}

static void streams(const char *directory) {
  struct vectors v;
  for (open_vectors(&v, directory, "streams.txt"); next_vector(&v); cases++) {
    receive(v.fields[0]);
    CHECK(line.good == atoi(v.fields[1]) && line.bad == atoi(v.fields[2]), "%.60s: %d good, %d bad", v.fields[0],
          line.good, line.bad);
  }
}

static void text_of(const struct fpl_value *value, char *text, size_t room) {
  switch (value->type) {
    case FPL_BOOL: snprintf(text, room, "%d", value->as.truth); break;
    case FPL_INT: snprintf(text, room, "%ld", (long)value->as.integer); break;
    case FPL_TEXT: snprintf(text, room, "%.*s", value->length, value->as.text); break;
    default: *text = 0;
  }
}

/* a_value: taken and put, it is the same. Qualities other than good are of readings only. */
static void a_value(struct vectors *v) {
  unsigned char bytes[300], again[300], want[300];
  size_t n = unhex(v->fields[4], bytes, sizeof bytes);
  struct fpl_values in = {bytes, (uint8_t)n}, out = {again, 255};
  struct fpl_value value;
  char text[300];
  if (n > 255) return; /* longer than any payload here */
  if (strcmp(v->fields[2], "0")) {
    CHECK(!fpl_take(&in, &value), "%s has a quality", v->fields[4]);
    return;
  }
  CHECK(fpl_take(&in, &value) && !in.left, "%s is refused", v->fields[4]);
  CHECK(fpl_put(&out, &value) && out.left == 255 - n && !memcmp(bytes, again, n), "%s is put otherwise", v->fields[4]);
  want[unhex(v->fields[3], want, sizeof want - 1)] = 0;
  text_of(&value, text, sizeof text);
  if (value.type == FPL_FLOAT) CHECK(value.as.number == strtof((const char *)want, NULL), "%s", v->fields[4]);
  else CHECK(!strcmp(text, (const char *)want), "%s is %s", v->fields[4], text);
}

static void values(const char *directory) {
  struct vectors v;
  unsigned char bytes[300];
  for (open_vectors(&v, directory, "values.txt"); next_vector(&v); cases++) {
    struct fpl_values in = {bytes, 0};
    struct fpl_value value;
    if (!strcmp(v.fields[0], "ok")) {
      a_value(&v);
    } else if ((in.left = (uint8_t)unhex(v.fields[1], bytes, sizeof bytes))) { /* no value: left out */
      CHECK(!fpl_take(&in, &value), "%s is taken, though %s", v.fields[1], v.fields[2]);
    }
  }
}

int main(int argc, char **argv) {
  const char *directory = argc > 1 ? argv[1] : ".";
  crc(directory);
  cobs(directory);
  frames(directory);
  streams(directory);
  values(directory);
  return finish("vectors", cases);
}
