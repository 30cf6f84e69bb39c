/* fieldpost_frame.h: frames of the link (SPEC.md, section 1), for the library and for loaders. */
#ifndef FIELDPOST_FRAME_H
#define FIELDPOST_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FPL_VERSION = 1,
  FPL_HEADER = 6,
  FPL_OVERHEAD = FPL_HEADER + 4, /* header and CRC */
  FPL_WRAPPING = 3,              /* two delimiters and the code of COBS */
  FPL_LONGEST = 252,             /* header and payload and CRC that fpl_seal takes */
};

#define FPL_GOOD_CRC 0x48674BC7UL /* of a frame with its CRC */

/* Where fields of a frame are. */
enum { FPL_AT_VERSION, FPL_AT_TYPE, FPL_AT_SESSION, FPL_AT_NUMBER = 4 };

/* Types of frames. */
enum {
  FPL_HELLO = 0x01,
  FPL_PING = 0x02,
  FPL_DESCRIBE = 0x03,
  FPL_DO = 0x04,
  FPL_GET = 0x05,
  FPL_SET = 0x06,
  FPL_LOADER = 0x07,
  FPL_BEGIN = 0x10,
  FPL_CHECK = 0x11,
  FPL_DATA = 0x12,
  FPL_FINISH = 0x13,
  FPL_RUN = 0x14,
  FPL_CONFIRM = 0x15,
  FPL_LAST_REQUEST = 0x5F,
  FPL_ACK = 0x60,
  FPL_ANSWER = 0x80, /* added to the type of the request */
  FPL_READINGS = 0xE0,
  FPL_LOG = 0xE1,
};

/* A receiver finds frames in the bytes of a line, whatever noise there is between them. */
struct fpl_receiver {
  uint8_t *frame; /* the caller's, of size bytes */
  uint8_t size;
  uint8_t length; /* of the frame so far */
  uint8_t left;   /* bytes of the block until its end */
  uint8_t state;
};

enum fpl_arrival { FPL_NOTHING, FPL_FRAME, FPL_BROKEN };

/* fpl_receive takes a byte. FPL_FRAME: frame has length bytes, and their CRC is right; they are gone
 * with the next byte. FPL_BROKEN: something that is no frame has ended. */
enum fpl_arrival fpl_receive(struct fpl_receiver *receiver, uint8_t byte);

/* fpl_seal makes a frame ready for the line. Header and payload, length bytes, are at wire + 2; there
 * must be room for the CRC and the delimiter behind them. It returns the length of all. */
uint8_t fpl_seal(uint8_t *wire, uint8_t length);

/* fpl_crc goes on with a CRC-32C, which begins with 0. */
uint32_t fpl_crc(uint32_t crc, const uint8_t *bytes, uint8_t length);

/* Little-endian numbers. */
uint16_t fpl_get16(const uint8_t *at);
uint32_t fpl_get32(const uint8_t *at);
void fpl_put16(uint8_t *at, uint16_t value);
void fpl_put32(uint8_t *at, uint32_t value);

#ifdef __cplusplus
}
#endif

#endif
