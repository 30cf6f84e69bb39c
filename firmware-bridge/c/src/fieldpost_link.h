/* fieldpost_link.h: the microcontroller's side of the link to a gateway, as SPEC.md has it.
 *
 * No memory is allocated and no operating system needed: all state is in struct fpl_link and in
 * what fpl_init is given. The hardware is behind struct fpl_port, what the device is and does
 * behind struct fpl_application. Everything runs in fpl_poll, called from the main loop; nothing
 * here may be called from an interrupt.
 */
#ifndef FIELDPOST_LINK_H
#define FIELDPOST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fieldpost_frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FPL_PAYLOAD = 64, /* taken and sent at most */
  FPL_KEPT = 12,    /* of the answer to an action, which is kept in case it was lost: status, results */
  FPL_NO_OUTPUT = 255,
};

/* Statuses of answers. */
enum {
  FPL_OK,
  FPL_UNSUPPORTED,
  FPL_INVALID,
  FPL_UNKNOWN,
  FPL_BUSY,
  FPL_FAILED,
  FPL_STATE,
  FPL_STALE,
  FPL_DENIED,
};

/* Types of values. */
enum { FPL_NONE, FPL_BOOL, FPL_INT, FPL_FLOAT, FPL_TEXT };

/* Why the microcontroller was last reset. */
enum { FPL_RESET_UNKNOWN, FPL_POWER_ON, FPL_RESET_PIN, FPL_BROWN_OUT, FPL_WATCHDOG, FPL_SOFTWARE };

/* What the loader knows of the application's image. */
enum { FPL_IMAGE_NONE, FPL_IMAGE_TRIAL, FPL_IMAGE_CONFIRMED, FPL_IMAGE_NO_UPDATE };

enum { FPL_DEBUG, FPL_INFO, FPL_WARNING, FPL_ERROR };

/* One value. A text is not ended by a zero, and lasts until the callback that got it returns. */
struct fpl_value {
  uint8_t type;
  uint8_t length;  /* of text */
  union {
    bool truth;
    int32_t integer;
    float number;
    const char *text;
  } as;
};

/* Arguments that come in, or results that go out, one after the other. */
struct fpl_values {
  uint8_t *at;
  uint8_t left;
};

/* A reading until the gateway has acknowledged it. */
struct fpl_reading {
  uint32_t time;
  uint8_t channel;
  uint8_t tag;
  uint8_t data[4];
};

/* The hardware. What may be NULL is then missing, and the gateway is told so. */
struct fpl_port {
  void *context;
  uint16_t target; /* kind of hardware that images are for; 0: no update */
  uint16_t window; /* bytes that may be on their way to us without an answer, 32 for acknowledgements aside */
  int (*read)(void *context); /* the next byte of the line; -1: none has come */
  /* write begins to send; the bytes stay as they are until sent says that all have left. */
  void (*write)(void *context, const uint8_t *bytes, uint8_t length);
  bool (*sent)(void *context);
  uint32_t (*now)(void *context); /* ms since the reset, wraps */
  /* fetch copies a constant, from where constants lie: program memory on an AVR. */
  void (*fetch)(void *context, void *to, const void *from, uint8_t length);
  uint8_t (*cause)(void *context);   /* of the last reset; may be NULL */
  void (*feed)(void *context);       /* the watchdog; may be NULL */
  void (*restart)(void *context);    /* into the loader; may be NULL */
  uint8_t (*image)(void *context);   /* FPL_IMAGE_…; may be NULL */
  bool (*confirm)(void *context);    /* the image, over resets; may be NULL */
};

/* What the device is and does. */
struct fpl_application {
  void *context;
  const char *descriptor; /* a constant: see fetch */
  uint16_t length;        /* of the descriptor, without a zero at its end */
  uint16_t timeout;       /* ms without a gateway until fail-safe, 500 to 60000 */
  uint8_t outputs;        /* 0 to outputs − 1 have a safe state */
  void (*safe)(void *context, uint8_t output); /* takes it; may be NULL if there are none */
  /* output says which one the action sets, and can be leased by it; FPL_NO_OUTPUT: none. */
  uint8_t (*output)(void *context, uint8_t action);
  /* act carries out an action, and returns a status. Values that were left out have FPL_NONE. */
  uint8_t (*act)(void *context, uint8_t action, struct fpl_values *arguments, struct fpl_values *results);
  /* get and set return a status; set puts the value as stored into *value. May be NULL. */
  uint8_t (*get)(void *context, uint8_t setting, struct fpl_value *value);
  uint8_t (*set)(void *context, uint8_t setting, struct fpl_value *value);
};

/* The state of the link. Its fields are its own. */
struct fpl_link {
  const struct fpl_port *port;
  const struct fpl_application *app;
  uint32_t *leases; /* one for each output: uptime at which it ends, 0: none */
  struct fpl_reading *readings;

  uint32_t heard;     /* when the last frame of the session came */
  uint32_t oldest;    /* number of the oldest reading held */
  uint32_t next;      /* of the first one not acknowledged, held or not */
  uint32_t progress;  /* when readings were last acknowledged, or begun to be sent */
  uint32_t greeted;   /* when the last greeting went out */
  uint16_t patience;  /* ms from progress until all is sent anew */
  uint16_t session;   /* 0: none */
  uint16_t last;      /* the one before */
  uint16_t damaged;   /* frames */
  uint16_t logged;    /* lines */
  uint16_t done;      /* number of the last action */
  uint8_t kept_length; /* of its answer; 0: there was none */
  uint8_t answered;    /* bytes of the answer behind its status */
  uint8_t failsafes;
  uint8_t capacity; /* of readings; the first is at head, of held ones sent are on their way */
  uint8_t head, held, sent;
  bool safe : 1;     /* in fail-safe */
  bool arrived : 1;  /* a frame waits in input */
  bool greet : 1;    /* somebody has spoken to us */
  bool leaving : 1;  /* for the loader, once the answer is out */
  bool on_trial : 1; /* not yet confirmed */
  uint8_t kept[FPL_KEPT];
  struct fpl_receiver receiver;
  uint8_t input[FPL_PAYLOAD + FPL_OVERHEAD];
  uint8_t output[FPL_PAYLOAD + FPL_OVERHEAD + FPL_WRAPPING];
};

/* fpl_init takes all outputs to their safe state. readings has room for capacity of them, leases
 * for one of each output (NULL if there are none). All of it must last. */
void fpl_init(struct fpl_link *link, const struct fpl_port *port, const struct fpl_application *app,
              struct fpl_reading *readings, uint8_t capacity, uint32_t *leases);

/* fpl_poll does what there is to do, and never waits. It feeds the watchdog. To be called at least
 * each few milliseconds: what the line brings meanwhile has to fit the port's buffer. */
void fpl_poll(struct fpl_link *link);

/* fpl_connected: a gateway is in session, and speaks. */
bool fpl_connected(const struct fpl_link *link);

/* fpl_tell_… take over a reading. If there is no room for it, the oldest one goes, and the gateway
 * will know. */
void fpl_tell_bool(struct fpl_link *link, uint8_t channel, bool truth);
void fpl_tell_int(struct fpl_link *link, uint8_t channel, int32_t integer);
void fpl_tell_float(struct fpl_link *link, uint8_t channel, float number); /* bad if it is not finite */
void fpl_tell_bad(struct fpl_link *link, uint8_t channel);                 /* it could not be measured */

/* fpl_room says how many readings more can be held. */
uint8_t fpl_room(const struct fpl_link *link);

/* fpl_log sends a line for people, and waits until it has left: some 7 ms at 115200 baud, and as long
 * for what was being sent before. Without a session the line is lost, and the gateway will know. fpl_log_constant fetches the text. */
void fpl_log(struct fpl_link *link, uint8_t level, const char *text, uint8_t length);
void fpl_log_constant(struct fpl_link *link, uint8_t level, const char *text, uint8_t length);

/* fpl_take takes the next argument: false if it is malformed. */
bool fpl_take(struct fpl_values *values, struct fpl_value *value);

/* fpl_put adds a result: false if there is no room for it. */
bool fpl_put(struct fpl_values *values, const struct fpl_value *value);

#ifdef __cplusplus
}
#endif

#endif
