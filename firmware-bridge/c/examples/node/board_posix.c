/* board_posix.c: the node as a program, for tests without a microcontroller.
 *
 *   mcu-host -l LINK [-E EEPROM]
 *
 * LINK is made a symbolic link to its pty, EEPROM is a file. stdin and stdout are those of avrpty:
 * reset, unplug, plug, mute, unmute, adc N MILLIVOLTS, pin D2 0|1, quit; plugged, unplugged, reset,
 * out B5 1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../port/posix/fpl_posix.h"
#include "board.h"

enum { EEPROM = 1024 };

static int millivolts[BOARD_INPUTS], eeprom = -1;
static bool level[BOARD_INPUTS] = {true, true}; /* pulled up */
static int32_t counts[BOARD_INPUTS];
static int outputs[BOARD_OUTPUTS] = {-1, -1}; /* nobody knows yet */
static char **arguments;
static const char *path, *eeprom_path;

void board_open(struct fpl_port *port) { fpl_posix_open(port, path, arguments); }

float board_volts(uint8_t input) { return (float)millivolts[input] / 1000; }

bool board_level(uint8_t input) { return level[input]; }

int32_t board_count(uint8_t input) { return counts[input]; }

void board_switch(uint8_t output, bool on) {
  if (outputs[output] != on) fpl_posix_event("out B%d %d", output ? 4 : 5, on);
  outputs[output] = on;
}

uint8_t board_load(uint8_t at) {
  uint8_t byte = 0xFF;
  return eeprom >= 0 && pread(eeprom, &byte, 1, at) == 1 ? byte : 0xFF;
}

void board_store(uint8_t at, uint8_t byte) {
  if (eeprom >= 0 && pwrite(eeprom, &byte, 1, at) != 1) perror(eeprom_path);
}

static void set_level(int pin, bool high) {
  int input = pin - 2;
  if (input < 0 || input >= BOARD_INPUTS) return;
  counts[input] += level[input] && !high;
  level[input] = high;
}

static void command(const char *text) {
  int a, b;
  if (!strcmp(text, "reset")) fpl_posix_event("reset"), fpl_posix_reset(FPL_RESET_PIN);
  else if (!strcmp(text, "unplug")) fpl_posix_unplug();
  else if (!strcmp(text, "plug")) fpl_posix_plug();
  else if (!strcmp(text, "mute")) fpl_posix_mute(true);
  else if (!strcmp(text, "unmute")) fpl_posix_mute(false);
  else if (!strcmp(text, "quit")) exit(0);
  else if (sscanf(text, "adc %d %d", &a, &b) == 2 && a >= 0 && a < BOARD_INPUTS) millivolts[a] = b;
  else if (sscanf(text, "pin D%d %d", &a, &b) == 2) set_level(a, b);
  else fpl_posix_event("unknown command: %s", text);
}

/* listen carries out the commands that have come in whole. */
static void listen(void) {
  static char text[256];
  static size_t length;
  char *end;
  ssize_t n = read(0, text + length, sizeof text - 1 - length);
  if (n > 0) length += (size_t)n;
  while ((end = memchr(text, '\n', length))) {
    *end++ = 0;
    command(text);
    length -= (size_t)(end - text);
    memmove(text, end, length);
  }
  if (length == sizeof text - 1) length = 0;
}

int main(int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "l:E:")) > 0;)
    if (option == 'l') path = optarg;
    else if (option == 'E') eeprom_path = optarg;
    else return 2;
  arguments = argv;
  if (!path) return fprintf(stderr, "mcu-host: -l LINK is missing\n"), 2;
  if (eeprom_path && (eeprom = open(eeprom_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0) return perror(eeprom_path), 1;
  fcntl(0, F_SETFL, O_NONBLOCK);
  for (node_start();; fpl_posix_wait()) {
    listen();
    node_poll();
  }
}
