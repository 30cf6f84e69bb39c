/* board.h: what the node needs of the board it runs on. */
#ifndef BOARD_H
#define BOARD_H

#include "../../src/fieldpost_link.h"

#ifdef __AVR__
#include <avr/pgmspace.h>
#define CONSTANT PROGMEM /* where the port's fetch finds it */
#else
#define CONSTANT
#endif

enum { BOARD_INPUTS = 2, BOARD_OUTPUTS = 2 }; /* analog and digital inputs each */

void board_open(struct fpl_port *port);
float board_volts(uint8_t input);
bool board_level(uint8_t input);
int32_t board_count(uint8_t input); /* pulses since the reset */
void board_switch(uint8_t output, bool on);

/* Bytes that outlive a reset, from 0 on. */
uint8_t board_load(uint8_t at);
void board_store(uint8_t at, uint8_t byte);

/* The node's two halves, called by the board's main. */
void node_start(void);
void node_poll(void);

#endif
