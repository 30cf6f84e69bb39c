/* tiny.c: the smallest image for trials of the loader: it sends its version again and again, confirms
 * itself when it gets a C, and never feeds the watchdog. */
#include "../port/avr/fpl_avr.h"

#include <avr/eeprom.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <util/delay.h>

/* So that its versions differ in every page, of which there are some. */
static const uint8_t filler[340] PROGMEM = {[0 ... 339] = TINY_VERSION};

int main(void) {
  uint16_t at = 0;
  UCSR0A = _BV(U2X0);
  UBRR0 = (F_CPU / 4 / FPL_BAUD - 1) / 2;
  UCSR0B = _BV(RXEN0) | _BV(TXEN0);
  for (;;) {
    UDR0 = pgm_read_byte(&filler[at++ % sizeof filler]);
    _delay_ms(5);
    if (!(UCSR0A & _BV(RXC0)) || UDR0 != 'C') continue;
    EEAR = (uint16_t)FPL_AVR_MARK;
    EEDR = FPL_AVR_CONFIRMED;
    EECR = _BV(EEPM1) | _BV(EEMPE);
    EECR |= _BV(EEPE);
  }
}
