/* sim.h: the parts of avrpty, an ATmega in simavr whose UART is a pty of the host. */
#ifndef FIELDPOST_SIM_H
#define FIELDPOST_SIM_H

#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>

/* event tells on stdout, one line, what has happened to the chip. */
void event(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* die ends the program with what is wrong, and errno if that is set. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* line.c: UART 0 on a pty. */
void line_open(avr_t *avr, const char *path);
void line_plug(void);   /* the pty is there, path leads to it */
void line_unplug(void); /* whoever has it open gets EIO, path is gone */
void line_mute(int mute); /* nothing passes in either direction */
void line_reset(void);  /* the UART has forgotten that it was full */
void line_poll(void);   /* one character's time has passed */
void line_stat(void);

/* memory.c: flash and EEPROM in files that outlive the program, and cuts of power. */
void memory_open(avr_t *avr, const char *flash, const char *eeprom);
int memory_fresh(void); /* the flash has never been written */
void memory_load(avr_t *avr, const char *spec);
void memory_cut_spm(unsigned long n);    /* power fails in the n-th erase or write of a page from now */
void memory_cut_eeprom(unsigned long n); /* … of a byte of EEPROM */
void memory_stat(void);

/* pins.c: what is wired to the chip. */
void pins_open(avr_t *avr);
void pins_adc(int channel, int millivolts);
void pins_level(char port, int bit, int high);

/* stack.c: how deep the stack has grown. */
void stack_paint(avr_t *avr);
unsigned stack_used(const avr_t *avr);

#endif
