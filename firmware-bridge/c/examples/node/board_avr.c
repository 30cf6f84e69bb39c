/* board_avr.c: the node on an ATmega328P, such as an Arduino Uno: analog A0 and A1, digital 2 and 3
 * with pull-ups, outputs 13 (the LED) and 12. */
#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "../../port/avr/fpl_avr.h"
#include "board.h"

static volatile int32_t counts[BOARD_INPUTS];

ISR(INT0_vect) { counts[0]++; }
ISR(INT1_vect) { counts[1]++; }

void board_open(struct fpl_port *port) {
  PORTD |= _BV(PD2) | _BV(PD3);
  EICRA = _BV(ISC01) | _BV(ISC11); /* falling edges */
  EIMSK = _BV(INT0) | _BV(INT1);
  ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0); /* 125 kHz */
  fpl_avr_open(port);
}

float board_volts(uint8_t input) {
  ADMUX = (uint8_t)(_BV(REFS0) | input); /* against AVCC */
  ADCSRA |= _BV(ADSC);
  while (ADCSRA & _BV(ADSC)) {
  }
  return (float)ADC * (5.0f / 1024);
}

bool board_level(uint8_t input) { return PIND >> (PD2 + input) & 1; }

int32_t board_count(uint8_t input) {
  int32_t count;
  ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { count = counts[input]; }
  return count;
}

void board_switch(uint8_t output, bool on) {
  uint8_t bit = (uint8_t)(output ? _BV(PB4) : _BV(PB5));
  if (on) PORTB |= bit;
  else PORTB &= (uint8_t)~bit;
  DDRB |= bit;
}

uint8_t board_load(uint8_t at) { return eeprom_read_byte((uint8_t *)(uint16_t)at); }

void board_store(uint8_t at, uint8_t byte) { eeprom_update_byte((uint8_t *)(uint16_t)at, byte); }

int main(void) {
  node_start();
  for (;;) node_poll();
}
