#include "fpl_avr.h"

#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/wdt.h>
#include <string.h>
#include <util/atomic.h>

#if F_CPU / 64 / 1000 > 256
#error timer 0 has too few bits for this clock: above 16.4 MHz it needs another prescaler
#endif

enum {
  RING = 64,   /* a power of two: more than arrives while a byte of EEPROM is written */
  WINDOW = 32, /* of it, beside that for acknowledgements */
  TARGET = 0x0328,
};

static volatile uint8_t ring[RING], filled, taken; /* filled and taken count bytes */
static const uint8_t *volatile next; /* to be sent, and how many from there on */
static volatile uint8_t left;
static volatile uint32_t uptime;
static uint8_t cause __attribute__((section(".noinit")));
static uint8_t loader __attribute__((section(".noinit"))); /* one has run before us */

/* begin runs before the variables are set: after a reset by the watchdog that is on, and fast. The
 * loader has cleared the flags, and handed on in GPIOR0 what they meant. */
void fpl_avr_begin(void) __attribute__((naked, used, section(".init3")));
void fpl_avr_begin(void) {
  uint8_t flags = MCUSR;
  MCUSR = 0;
  wdt_enable(WDTO_2S);
  loader = !flags;
  cause = flags ? fpl_avr_cause(flags) : GPIOR0;
}

ISR(USART_RX_vect) {
  uint8_t byte = UDR0;
  if ((uint8_t)(filled - taken) < RING) ring[filled++ % RING] = byte;
}

ISR(USART_UDRE_vect) {
  UDR0 = *next++;
  if (!--left) UCSR0B &= (uint8_t)~_BV(UDRIE0);
}

ISR(TIMER0_COMPA_vect) { uptime++; }

static int read(void *context) {
  (void)context;
  return filled == taken ? -1 : ring[taken++ % RING];
}

static void write(void *context, const uint8_t *bytes, uint8_t length) {
  (void)context;
  next = bytes;
  left = length;
  UCSR0B |= _BV(UDRIE0);
}

static bool sent(void *context) {
  (void)context;
  return !left;
}

static uint32_t now(void *context) {
  uint32_t ms;
  (void)context;
  ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { ms = uptime; }
  return ms;
}

static void fetch(void *context, void *to, const void *from, uint8_t length) {
  (void)context;
  memcpy_P(to, from, length);
}

static uint8_t last_cause(void *context) {
  (void)context;
  return cause;
}

static void feed(void *context) {
  (void)context;
  wdt_reset();
}

/* restart: what was sent last leaves before the watchdog bites. */
static void restart(void *context) {
  (void)context;
  cli();
  wdt_enable(WDTO_15MS);
  wdt_reset(); /* simavr goes by the new time from then on */
  for (;;) {
  }
}

static uint8_t image(void *context) {
  (void)context;
  switch (eeprom_read_byte(FPL_AVR_MARK)) {
    case FPL_AVR_TRIAL: return FPL_IMAGE_TRIAL;
    case FPL_AVR_CONFIRMED: return FPL_IMAGE_CONFIRMED;
    default: return FPL_IMAGE_NONE;
  }
}

/* confirm writes without erasing before: the byte is the old or the new one, whenever power fails. */
static bool confirm(void *context) {
  if (image(context) == FPL_IMAGE_TRIAL) {
    eeprom_busy_wait();
    EEAR = (uint16_t)FPL_AVR_MARK;
    EEDR = FPL_AVR_CONFIRMED;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
      EECR = _BV(EEPM1) | _BV(EEMPE);
      EECR |= _BV(EEPE);
    }
    eeprom_busy_wait();
    EECR = 0;
  }
  return image(context) == FPL_IMAGE_CONFIRMED;
}

static void open_uart(void) {
  UCSR0A = _BV(U2X0); /* before the baud rate: simulators go by the order */
  UBRR0 = (F_CPU / 4 / FPL_BAUD - 1) / 2;
  UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
  UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

/* open_timer lets timer 0 count to a millisecond. */
static void open_timer(void) {
  OCR0A = F_CPU / 64 / 1000 - 1;
  TCCR0A = _BV(WGM01);
  TCCR0B = _BV(CS01) | _BV(CS00);
  TIMSK0 = _BV(OCIE0A);
}

void fpl_avr_open(struct fpl_port *port) {
  memset(port, 0, sizeof *port);
  port->window = WINDOW;
  port->read = read;
  port->write = write;
  port->sent = sent;
  port->now = now;
  port->fetch = fetch;
  port->cause = last_cause;
  port->feed = feed;
  if (loader && image(NULL) != FPL_IMAGE_NONE) { /* others clear the flags as well, but set no mark */
    port->target = TARGET;
    port->restart = restart;
    port->image = image;
    port->confirm = confirm;
  }
  open_uart();
  open_timer();
  sei();
}
