/* fpl_avr.h: the port for ATmegas with a UART 0, such as the ATmega328P. It takes the UART, timer 0,
 * the watchdog and the EEPROM from 3F0 on. F_CPU has to be defined. */
#ifndef FPL_AVR_H
#define FPL_AVR_H

#include "../../src/fieldpost_link.h"

/* The mark: what the loader thinks of the image. One bit apart, so that a confirmation is made by
 * clearing it, which cannot be half done. */
#define FPL_AVR_MARK ((uint8_t *)0x3FF)
enum { FPL_AVR_TRIAL = 0xA7, FPL_AVR_CONFIRMED = 0xA5 };

#ifndef FPL_BAUD
#define FPL_BAUD 115200
#endif

/* fpl_avr_cause makes of MCUSR the cause of a reset: they have the same order. */
static inline uint8_t fpl_avr_cause(uint8_t flags) {
  uint8_t cause = 0;
  while (flags) {
    cause++;
    if (flags & 1) break;
    flags >>= 1;
  }
  return cause;
}

/* fpl_avr_open starts the hardware, with interrupts, and fills in the port. Without a loader that
 * feature is left out. The watchdog bites after two seconds without fpl_poll. */
void fpl_avr_open(struct fpl_port *port);

#endif
