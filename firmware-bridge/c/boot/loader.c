/* loader.c: the boot loader of the ATmega328P (SPEC.md, section 12). It fits its boot section of 2 KB
 * together with SHA-256: it does without vectors, interrupts and the C runtime, answers in the frame
 * that has asked, and has ways of its own to read and write frames, which are smaller than the
 * library's since no frame here is longer than a block of COBS. Y always points to its state, which
 * halves the code of most accesses.
 *
 * What keeps it reachable: every reset ends here; the mark in the EEPROM is taken away before the
 * first page is touched, and comes back when the whole image has been verified; an image that was
 * not confirmed is never started without being asked for. */
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../port/avr/fpl_avr.h"
#include "loader.h"

enum {
  ROOM = 0x7800, /* for the image, which begins at 0 */
  TARGET = 0x0328,
  ROLE = 2,
  FEATURES = 1 | 8, /* update, sha256 */
  TIMEOUT = 10000,
  MAX = 4 + SPM_PAGESIZE, /* payload */
  ERASED = 0xFF,          /* the mark of no image */
};

/* Ticks of timer 1, 262 ms each, until a confirmed image is started. */
enum { LISTEN = 2, PATIENCE = 38 };

enum { STAY = 1 /* flag of HELLO */ };

/* Statuses that the library does not use. */
enum { WRONG_TARGET = 9, WRONG_SIZE, WRONG_HASH };

#define MAGIC 0x57465046UL /* FPFW */
enum { FORMAT = 1 };

#define PACKED __attribute__((packed))
#define NOINLINE __attribute__((noinline))

/* A number of 32 bits; the upper half has to be 0. */
struct PACKED number {
  uint16_t low, high;
};

struct PACKED header {
  uint32_t magic;
  uint16_t format, target;
  uint32_t version;
  struct number size;
  uint32_t crc, reserved;
  uint8_t hash[32];
};

struct PACKED introduction {
  uint8_t lowest, role, cause, features, image, reserved;
  uint16_t max, window, timeout, last;
  uint32_t uptime, next;
  uint16_t length;
  uint32_t hash;
  uint16_t target;
};

struct PACKED frame {
  uint8_t version, type;
  uint16_t session, number;
  union PACKED {
    uint8_t payload[MAX + 5]; /* and CRC, and the delimiter */
    struct {
      uint8_t lowest, flags;
    } hello;
    struct introduction introduction;
    struct header header;
    struct number number32[2]; /* offset and length of CHECK */
    struct PACKED {
      struct number offset;
      uint8_t block[SPM_PAGESIZE];
    } data;
    struct PACKED {
      uint8_t status;
      union PACKED {
        uint16_t block;
        uint32_t crc;
      };
    } answer;
  };
};

static struct {
  uint16_t session;
  uint16_t size;    /* of the image; 0: there was no BEGIN in this session */
  uint8_t length;   /* of the payload that has come, or goes */
  uint8_t ticks;    /* left */
  uint8_t patience; /* ticks that HELLO has given us, and each frame behind it gives anew */
  bool run;         /* the image, once the answer has left */
  uint8_t before;   /* where the first code of COBS goes */
  struct frame frame;  /* that has come, and then the answer to it */
  struct header image; /* that BEGIN has named */
  struct sha256 sha;
} state;

_Static_assert(offsetof(__typeof__(state), length) == AT_LENGTH && offsetof(__typeof__(state), frame) == AT_FRAME,
               "loader.h knows it otherwise");

register __typeof__(state) *s __asm__("r28");

static NOINLINE uint8_t image_state(void) {
  EEAR = (uint16_t)FPL_AVR_MARK;
  EECR = _BV(EERE);
  if (EEDR == FPL_AVR_TRIAL) return FPL_IMAGE_TRIAL;
  return EEDR == FPL_AVR_CONFIRMED ? FPL_IMAGE_CONFIRMED : FPL_IMAGE_NONE;
}

/* program changes the mark: bits to ones by erasing, or to noughts by writing. */
static NOINLINE void program(uint8_t value, uint8_t mode) {
  EEAR = (uint16_t)FPL_AVR_MARK;
  EEDR = value;
  EECR = mode;
  EECR |= _BV(EEMPE);
  EECR |= _BV(EEPE);
  while (EECR & _BV(EEPE)) {
  }
}

/* start leaves for the image, whose reset vector is at 0. On trial it has the watchdog behind it. */
static NOINLINE void start(void) {
  if (image_state() == FPL_IMAGE_TRIAL) {
    WDTCSR = _BV(WDCE) | _BV(WDE);
    WDTCSR = _BV(WDE) | _BV(WDP3) | _BV(WDP0); /* 8 s */
  }
  UCSR0B = 0;
  TCCR1B = 0;
  ((void (*)(void))0)();
}

static NOINLINE uint8_t get(void) {
  do {
    if (!(TIFR1 & _BV(TOV1))) continue;
    TIFR1 = _BV(TOV1);
    if (image_state() == FPL_IMAGE_CONFIRMED && !--s->ticks) start();
  } while (!(UCSR0A & _BV(RXC0)));
  return UDR0;
}

/* receive waits for a frame. */
static void receive(void) {
  uint8_t at, byte, left;
  do {
    at = 0;
    left = 1; /* bytes until the next code */
    while ((byte = get())) {
      if (!--left) {
        left = byte;
        byte = 0; /* what the code stands for, the first one aside */
      }
      (&s->before)[at] = byte;
      if (at < sizeof s->frame) at++;
    }
    s->length = (uint8_t)(--at - FPL_OVERHEAD);
  } while (left != 1 || s->length > MAX || crc_of(&s->frame.version, at) != ~FPL_GOOD_CRC);
}

/* introduce sends HELLO. Session and number stand in the header already. */
static NOINLINE void introduce(void) {
  struct introduction *i = &s->frame.introduction;
  s->length = sizeof *i;
  s->frame.type = FPL_HELLO + FPL_ANSWER;
  memset(i, 0, sizeof *i);
  i->lowest = FPL_VERSION;
  i->role = ROLE;
  i->cause = GPIOR0;
  i->features = FEATURES;
  i->image = image_state();
  i->max = MAX;
  i->timeout = TIMEOUT;
  i->target = TARGET;
  send();
}

static void take_hello(void) {
  if (s->length < 4 || !s->frame.session) return;
  if (s->frame.version >= FPL_VERSION && s->frame.hello.lowest <= FPL_VERSION) {
    if (s->session != s->frame.session) s->size = 0;
    s->session = s->frame.session;
  }
  s->patience = s->frame.hello.flags & STAY ? PATIENCE : LISTEN;
  s->ticks = s->patience;
  TCNT1 = 0;
  introduce();
}

static uint8_t begin(void) {
  if (s->length != sizeof s->image || s->frame.header.magic != MAGIC || s->frame.header.format != FORMAT)
    return FPL_INVALID;
  if (s->frame.header.target != TARGET) return WRONG_TARGET;
  if (s->frame.header.size.high || s->frame.header.size.low - 1u >= ROOM) return WRONG_SIZE;
  s->image = s->frame.header;
  s->size = s->image.size.low;
  s->frame.answer.block = SPM_PAGESIZE;
  s->length = 3;
  return FPL_OK;
}

static uint8_t check(void) {
  uint16_t at = s->frame.number32[0].low, count = s->frame.number32[1].low;
  uint32_t sum = ~0UL;
  if (s->length != 8 || s->frame.number32[0].high || s->frame.number32[1].high) return FPL_INVALID;
  if (at > ROOM || count - 1u >= ROOM - at) return FPL_INVALID;
  do sum = crc_step(sum, pgm_read_byte(at++));
  while (--count);
  s->frame.answer.crc = ~sum;
  s->length = 5;
  return FPL_OK;
}

static uint8_t data(void) {
  uint16_t at = s->frame.data.offset.low;
  if (s->length != MAX || s->frame.data.offset.high || at >= s->size || (uint8_t)at % SPM_PAGESIZE)
    return FPL_INVALID;
  image_state();
  if (EEDR != ERASED) program(ERASED, _BV(EEPM0)); /* what was half erased, too: it may read as valid one day */
  return write_page(at, s->frame.data.block);
}

/* verified tells whether the hash of what is stored is that of the image. */
static bool verified(void) {
  register uint16_t size __asm__("r24") = s->size;
  register const uint8_t *hash __asm__("r22") = s->image.hash;
  register struct sha256 *sha __asm__("r20") = &s->sha;
  __asm__("rcall sha256_matches"
          : "+r"(size), "+r"(hash), "+r"(sha)
          :
          : "r0", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16",
            "r17", "r18", "r19", "r26", "r27", "r30", "r31", "memory");
  return (uint8_t)size;
}

static uint8_t finish(void) {
  if (!verified()) return WRONG_HASH;
  if (image_state() != FPL_IMAGE_TRIAL) {
    program(ERASED, _BV(EEPM0));
    program(FPL_AVR_TRIAL, _BV(EEPM1));
  }
  return FPL_OK;
}

static uint8_t run(void) {
  if (!image_state()) return FPL_STATE;
  s->run = true;
  return FPL_OK;
}

static uint8_t carry_out(void) {
  uint8_t type = s->frame.type;
  if (type == FPL_BEGIN) return begin();
  if (type < FPL_BEGIN || type > FPL_RUN) return FPL_UNSUPPORTED;
  if (type >= FPL_FINISH && s->length) return FPL_INVALID;
  if (type == FPL_RUN) return run();
  if (!s->size) return FPL_STATE;
  if (type == FPL_CHECK) return check();
  return type == FPL_DATA ? data() : finish();
}

static void take_request(void) {
  uint8_t status;
  if (s->frame.version != FPL_VERSION || s->frame.type > FPL_LAST_REQUEST || !s->session ||
      s->frame.session != s->session)
    return;
  s->ticks = s->patience;
  status = carry_out();
  if (status || s->frame.type >= FPL_DATA) s->length = 1;
  s->frame.answer.status = status;
  s->frame.type |= FPL_ANSWER;
  send();
  if (!s->run) return;
  put(0); /* when the second one is taken, all before the first one has left */
  put(0);
  start();
}

static void open_line(void) {
  UCSR0A = _BV(U2X0);
  UBRR0L = (F_CPU / 4 / FPL_BAUD - 1) / 2;
  UCSR0B = _BV(RXEN0) | _BV(TXEN0); /* 8N1 after a reset */
  TCCR1B = _BV(CS11) | _BV(CS10);
}

/* begin_c: the C compiler counts on a zero there. The stack pointer is right after a reset. */
void begin_c(void) __attribute__((naked, used, section(".init2")));
void begin_c(void) { __asm__("clr r1"); }

int main(void) __attribute__((OS_main, used, section(".init9")));
int main(void) {
  GPIOR0 = fpl_avr_cause(MCUSR);
  MCUSR = 0;
  WDTCSR = _BV(WDCE) | _BV(WDE);
  WDTCSR = 0;
  open_line();
  s = &state;
  s->ticks = LISTEN;
  introduce();
  for (;;) {
    receive();
    if (s->frame.type == FPL_HELLO) take_hello();
    else take_request();
  }
}
