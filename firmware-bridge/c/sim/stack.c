/* stack.c: the SRAM is painted before the chip starts; what the stack has reached is no longer
 * painted. Data lie at the other end, with untouched bytes between. */
#include "sim.h"

enum { PAINT = 0xc5, GAP = 32 /* untouched bytes that end the stack */ };

void stack_paint(avr_t *avr) {
  for (unsigned at = avr->ioend + 1u; at <= avr->ramend; at++) avr->data[at] = PAINT;
}

unsigned stack_used(const avr_t *avr) {
  unsigned at = avr->ramend, untouched = 0;
  while (at > avr->ioend && untouched < GAP) untouched = avr->data[at--] == PAINT ? untouched + 1 : 0;
  return avr->ramend - at - untouched;
}
