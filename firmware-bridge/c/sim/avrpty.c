/* avrpty: an ATmega in simavr with UART 0 on a pty, for tests with real firmware.
 *
 *   avrpty -l LINK [-m MCU] [-F FLASH] [-E EEPROM] [-b BOOT] [IMAGE[@HEXADDRESS] …]
 *
 * LINK is made a symbolic link to the pty. FLASH and EEPROM are files with the chip's memories;
 * images are loaded only into a FLASH that is new. BOOT is the address (hex) at which the chip
 * starts after a reset, which fuses say on a real one.
 *
 * Commands on stdin, a line each:
 *   reset               as the reset pin does
 *   unplug, plug        the cable
 *   mute, unmute        nothing passes on the line
 *   adc N MILLIVOLTS    the voltage at an analog input
 *   pin D2 0|1          the level at a digital input
 *   cut spm|eeprom N    power fails in the N-th erase or write from now: half a page, or a byte
 *                       with some of its bits, stays behind, and the program exits with 99
 *   stat                counts, and how deep the stack has grown
 *   quit
 *
 * stdout says what happens, a line each: plugged, unplugged, reset, out B5 1, cut …, stat's.
 * What it does not show: fuses, lock bits, brown-out, the time that flash takes.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  HZ = 16000000,
  CHARACTER = HZ / 11520, /* cycles that a character takes at 115200 baud */
  MCUSR = 0x54,           /* why the chip was reset; simavr sets only the watchdog's bit */
  POWER_ON = 1,
  RESET_PIN = 2,
};

void event(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
}

void die(const char *format, ...) {
  int code = errno;
  va_list args;
  fputs("avrpty: ", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, code ? ": %s\n" : "\n", strerror(code));
  exit(1);
}

static void reset(avr_t *avr, uint8_t why) {
  avr_reset(avr);
  avr->data[MCUSR] = why;
  line_reset();
}

static void stat(const avr_t *avr) {
  line_stat();
  memory_stat();
  event("stat cycles=%llu stack=%u", (unsigned long long)avr->cycle, stack_used(avr));
}

static void command(avr_t *avr, const char *text) {
  int a, b;
  char port;
  unsigned long n;
  if (!strcmp(text, "reset")) reset(avr, RESET_PIN), event("reset");
  else if (!strcmp(text, "unplug")) line_unplug();
  else if (!strcmp(text, "plug")) line_plug();
  else if (!strcmp(text, "mute")) line_mute(1);
  else if (!strcmp(text, "unmute")) line_mute(0);
  else if (!strcmp(text, "stat")) stat(avr);
  else if (!strcmp(text, "quit")) exit(0);
  else if (sscanf(text, "adc %d %d", &a, &b) == 2) pins_adc(a, b);
  else if (sscanf(text, "pin %c%d %d", &port, &a, &b) == 3) pins_level(port, a, b);
  else if (sscanf(text, "cut spm %lu", &n) == 1) memory_cut_spm(n);
  else if (sscanf(text, "cut eeprom %lu", &n) == 1) memory_cut_eeprom(n);
  else event("unknown command: %s", text);
}

/* listen carries out the commands that have come in whole. */
static void listen(avr_t *avr) {
  static char text[256];
  static size_t length;
  char *end;
  ssize_t n = read(0, text + length, sizeof text - 1 - length);
  if (n > 0) length += (size_t)n;
  while ((end = memchr(text, '\n', length))) {
    *end++ = 0;
    command(avr, text);
    length -= (size_t)(end - text);
    memmove(text, end, length);
  }
  if (length == sizeof text - 1) length = 0;
}

/* keep_pace lets the chip run no faster than the wall clock. simavr's own way to do it cannot
 * catch up once it is late. */
static void keep_pace(const avr_t *avr) {
  static struct timespec start;
  struct timespec now, pause = {0, 0};
  double ahead;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!start.tv_sec) start = now;
  ahead = (double)avr->cycle / HZ - (double)(now.tv_sec - start.tv_sec) - (double)(now.tv_nsec - start.tv_nsec) / 1e9;
  if (ahead < 0.001) return;
  pause.tv_nsec = (long)(ahead * 1e9) % 1000000000;
  nanosleep(&pause, NULL);
}

static void no_sleep(avr_t *avr, avr_cycle_count_t cycles) { (void)avr, (void)cycles; }

static void run(avr_t *avr) {
  avr_cycle_count_t next = 0;
  for (unsigned long turn = 0;;) {
    int state = avr_run(avr);
    if (state == cpu_Done || state == cpu_Crashed) die("the chip has stopped at 0x%x", avr->pc);
    if (avr->cycle < next) continue;
    next = avr->cycle + CHARACTER;
    line_poll();
    if (++turn % 32 == 0) listen(avr);
    keep_pace(avr);
  }
}

static avr_t *chip(const char *mcu, const char *flash, const char *eeprom, unsigned long boot) {
  avr_t *avr = avr_make_mcu_by_name(mcu);
  if (!avr) die("simavr knows no %s", mcu);
  avr_init(avr);
  avr->frequency = HZ;
  avr->vcc = avr->avcc = avr->aref = 5000; /* mV */
  avr->log = LOG_ERROR;
  avr->sleep = no_sleep;
  avr->codeend = avr->flashend;
  avr->reset_pc = (avr_flashaddr_t)boot;
  memory_open(avr, flash, eeprom);
  stack_paint(avr);
  pins_open(avr);
  return avr;
}

int main(int argc, char **argv) {
  const char *mcu = "atmega328p", *link = NULL, *flash = NULL, *eeprom = NULL;
  unsigned long boot = 0;
  avr_t *avr;
  for (int option; (option = getopt(argc, argv, "l:m:F:E:b:")) > 0;) switch (option) {
      case 'l': link = optarg; break;
      case 'm': mcu = optarg; break;
      case 'F': flash = optarg; break;
      case 'E': eeprom = optarg; break;
      case 'b': boot = strtoul(optarg, NULL, 16); break;
      default: return 2;
    }
  if (!link) die("-l LINK is missing");
  avr = chip(mcu, flash, eeprom, boot);
  while (memory_fresh() && optind < argc) memory_load(avr, argv[optind++]);
  reset(avr, POWER_ON);
  line_open(avr, link);
  fcntl(0, F_SETFL, O_NONBLOCK);
  run(avr);
}
