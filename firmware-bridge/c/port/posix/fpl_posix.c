#define _GNU_SOURCE /* ptys */
#include "fpl_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { WATCHDOG = 2 /* s */, WINDOW = 2048 };

/* What outlives a reset is handed on to the program anew: the pty, and why it was reset. */
#define HANDED_ON "FPL_POSIX"

static struct {
  const char *path;
  char **argv;
  char handed_on[64];
  int master, slave; /* −1: unplugged */
  int cause;
  bool muted;
  uint64_t start; /* ms */
} posix = {.master = -1, .slave = -1, .cause = FPL_POWER_ON};

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

void fpl_posix_event(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
}

static uint64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void fpl_posix_plug(void) {
  char name[64];
  struct termios mode;
  if (posix.master >= 0) return;
  if (openpty(&posix.master, &posix.slave, name, NULL, NULL) < 0) die("openpty");
  tcgetattr(posix.slave, &mode);
  cfmakeraw(&mode);
  tcsetattr(posix.slave, TCSANOW, &mode);
  fcntl(posix.master, F_SETFL, O_NONBLOCK);
  /* The slave stays open here, so that a client that closes it hangs up nobody. */
  unlink(posix.path);
  if (symlink(name, posix.path) < 0) die(posix.path);
  fpl_posix_event("plugged %s", posix.path);
}

void fpl_posix_unplug(void) {
  if (posix.master < 0) return;
  unlink(posix.path);
  close(posix.slave);
  close(posix.master);
  posix.master = posix.slave = -1;
  fpl_posix_event("unplugged");
}

void fpl_posix_mute(bool mute) { posix.muted = mute; }

/* fpl_posix_reset uses what may be used in a handler of signals. */
void fpl_posix_reset(uint8_t cause) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL); /* the mask outlives exec, and we may be in the handler */
  posix.handed_on[strlen(HANDED_ON) + 1] = (char)('0' + cause);
  execv("/proc/self/exe", posix.argv);
  _exit(1);
}

static void bite(int signal) {
  (void)signal;
  fpl_posix_reset(FPL_WATCHDOG);
}

static void feed(void *context) {
  const struct itimerval bite_at = {{0, 0}, {WATCHDOG, 0}};
  (void)context;
  setitimer(ITIMER_REAL, &bite_at, NULL);
}

static int read_byte(void *context) {
  uint8_t byte;
  (void)context;
  if (posix.master < 0 || read(posix.master, &byte, 1) != 1) return -1;
  return posix.muted ? -1 : byte;
}

/* write_bytes loses what nobody reads, as a wire does. */
static void write_bytes(void *context, const uint8_t *bytes, uint8_t length) {
  (void)context;
  if (posix.master < 0 || posix.muted) return;
  if (write(posix.master, bytes, length) < 0 && errno != EAGAIN) die("pty");
}

static bool sent(void *context) {
  (void)context;
  return true;
}

static uint32_t now(void *context) {
  (void)context;
  return (uint32_t)(clock_ms() - posix.start);
}

static void fetch(void *context, void *to, const void *from, uint8_t length) {
  (void)context;
  memcpy(to, from, length);
}

static uint8_t cause(void *context) {
  (void)context;
  return (uint8_t)posix.cause;
}

void fpl_posix_wait(void) {
  struct pollfd on = {posix.master, POLLIN, 0};
  poll(&on, 1, 1);
}

void fpl_posix_open(struct fpl_port *port, const char *path, char **argv) {
  const struct fpl_port all = {
      .window = WINDOW,
      .read = read_byte,
      .write = write_bytes,
      .sent = sent,
      .now = now,
      .fetch = fetch,
      .cause = cause,
      .feed = feed,
  };
  const char *handed_on = getenv(HANDED_ON);
  *port = all;
  posix.path = path;
  posix.argv = argv;
  posix.start = clock_ms();
  if (handed_on) sscanf(handed_on, "%d,%d,%d", &posix.cause, &posix.master, &posix.slave);
  signal(SIGALRM, bite);
  fpl_posix_plug();
  snprintf(posix.handed_on, sizeof posix.handed_on, HANDED_ON "=0,%d,%d", posix.master, posix.slave);
  putenv(posix.handed_on);
}
