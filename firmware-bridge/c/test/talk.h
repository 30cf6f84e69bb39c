/* talk.h: a test speaks to the mixer, and hears it. */
#ifndef TALK_H
#define TALK_H

#include "mixer.h"

/* A frame that the mixer has sent. */
struct heard {
  uint8_t type;
  uint16_t session, number;
  const uint8_t *payload;
  uint8_t length;
};

/* say puts a frame on the line to the mixer. */
void say(struct mixer *mixer, uint8_t type, uint16_t session, uint16_t number, const void *payload, uint8_t length);

/* hear takes the next frame of what the mixer has sent; false: there is none. Frames are whole. */
bool hear(struct mixer *mixer, struct heard *heard);

/* ask says it, lets the mixer answer, and hears the first frame of what it sends. */
bool ask(struct mixer *mixer, struct heard *heard, uint8_t type, uint16_t number, const void *payload, uint8_t length);

/* let_pass lets time pass, with a poll each millisecond. */
void let_pass(struct mixer *mixer, uint32_t ms);

enum { SESSION = 0x2A5C };

/* begin_session says HELLO and takes the answer. */
bool begin_session(struct mixer *mixer, struct heard *heard, uint16_t session);

#endif
