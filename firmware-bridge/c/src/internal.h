/* internal.h: what the parts of the library know of each other. */
#ifndef FIELDPOST_INTERNAL_H
#define FIELDPOST_INTERNAL_H

#include "fieldpost_link.h"

/* link.c */

/* fpl_payload is where that of the next frame is written. */
static inline uint8_t *fpl_payload(struct fpl_link *link) { return link->output + 2 + FPL_HEADER; }

static inline uint32_t fpl_now(const struct fpl_link *link) { return link->port->now(link->port->context); }

/* fpl_elapsed: that much time has passed since then. */
bool fpl_elapsed(const struct fpl_link *link, uint32_t since, uint32_t time);

/* fpl_send sends a frame whose payload stands there already. */
void fpl_send(struct fpl_link *link, uint8_t type, uint16_t session, uint16_t number, uint8_t length);

/* fpl_heard: the gateway is there. */
void fpl_heard(struct fpl_link *link);

/* session.c */
void fpl_hello(struct fpl_link *link);    /* HELLO is in input */
void fpl_greeting(struct fpl_link *link); /* is sent */

/* outputs.c */
void fpl_make_safe(struct fpl_link *link, bool leased); /* all outputs, or those without a lease */
void fpl_lease(struct fpl_link *link, uint8_t output, uint32_t lease);
void fpl_guard(struct fpl_link *link); /* ends leases, and takes fail-safe */

/* requests.c: a request is in input. */
void fpl_request(struct fpl_link *link);

/* The functions for single requests get the length of the payload, write what follows the status of
 * the answer, put its length into link->answered, and return the status. */
enum { FPL_ROOM = FPL_PAYLOAD - 1 };

static inline const uint8_t *fpl_asked(const struct fpl_link *link) { return link->input + FPL_HEADER; }

static inline uint8_t *fpl_answer(struct fpl_link *link) { return fpl_payload(link) + 1; }

/* actions.c */
uint8_t fpl_do(struct fpl_link *link, uint8_t length);

/* settings.c */
uint8_t fpl_get(struct fpl_link *link, uint8_t length);
uint8_t fpl_set(struct fpl_link *link, uint8_t length);

/* readings.c */
void fpl_acknowledged(struct fpl_link *link);   /* ACK is in input */
void fpl_send_readings(struct fpl_link *link);  /* those that were not sent, or not acknowledged */
void fpl_send_anew(struct fpl_link *link);

/* value.c */
uint8_t fpl_size(uint8_t type); /* of a value's data, without the bytes of a text */

/* fpl_finite tells by its bits whether a float is, without a library for floating point. */
bool fpl_finite(uint32_t bits);

#endif
