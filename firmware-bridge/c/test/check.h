/* check.h: what the test programs share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition, ...)                                  \
  do {                                                         \
    if (condition) break;                                      \
    if (++failures > 20) break; /* those tell enough */         \
    fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
    fprintf(stderr, __VA_ARGS__);                              \
    fputc('\n', stderr);                                       \
  } while (0)

/* finish is what main returns: it fails if nothing was checked, too. */
static inline int finish(const char *what, int cases) {
  printf("%s: %d cases, %d failures\n", what, cases, failures);
  return failures || !cases;
}

/* unhex makes bytes of a field of a vector ("-": none) and returns how many. */
static inline size_t unhex(const char *text, unsigned char *bytes, size_t room) {
  size_t n = 0;
  for (; text[0] && text[1] && n < room; text += 2) {
    char digits[3] = {text[0], text[1], 0};
    bytes[n++] = (unsigned char)strtoul(digits, NULL, 16);
  }
  return n;
}

/* A file of vectors, read line by line and cut into fields at spaces. */
struct vectors {
  FILE *file;
  char line[1 << 15];
  char *fields[8];
  int count;
};

static inline void open_vectors(struct vectors *v, const char *directory, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s%s%s", directory, *directory ? "/" : "", name);
  v->file = fopen(path, "r");
  if (v->file) return;
  perror(path);
  exit(1);
}

static inline int next_vector(struct vectors *v) {
  do {
    if (!fgets(v->line, sizeof v->line, v->file)) return fclose(v->file), 0;
    v->line[strcspn(v->line, "\n")] = 0;
  } while (!v->line[0] || v->line[0] == '#');
  v->count = 0;
  for (char *field = strtok(v->line, " "); field && v->count < 8; field = strtok(NULL, " "))
    v->fields[v->count++] = field;
  return 1;
}

#endif
