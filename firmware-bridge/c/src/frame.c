/* frame.c: COBS and CRC-32C. Both are made for small code: a byte of the line takes longer than its
 * eight steps of the CRC. */
#include "fieldpost_frame.h"

enum {
  BEGUN = 1, /* bytes have come since the last delimiter */
  ZERO = 2,  /* the block stands for a zero behind it, if another one follows */
  BAD = 4,
};

uint32_t fpl_crc(uint32_t crc, const uint8_t *bytes, uint8_t length) {
  crc = ~crc;
  while (length--) {
    crc ^= *bytes++;
    for (uint8_t bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
  }
  return ~crc;
}

static void append(struct fpl_receiver *r, uint8_t byte) {
  if (r->length == r->size) r->state |= BAD;
  else r->frame[r->length++] = byte;
}

/* end judges what has come since the last delimiter. */
static enum fpl_arrival end(struct fpl_receiver *r) {
  uint8_t state = r->state;
  r->state = 0;
  if (!state) return FPL_NOTHING;
  if (state & BAD || r->left || r->length < FPL_OVERHEAD) return FPL_BROKEN;
  return fpl_crc(0, r->frame, r->length) == FPL_GOOD_CRC ? FPL_FRAME : FPL_BROKEN;
}

enum fpl_arrival fpl_receive(struct fpl_receiver *r, uint8_t byte) {
  if (!byte) return end(r);
  if (!r->state) r->length = r->left = 0;
  if (r->left) {
    r->left--;
    append(r, byte);
  } else {
    if (r->state & ZERO) append(r, 0);
    r->left = (uint8_t)(byte - 1);
    r->state = (uint8_t)((r->state & BAD) | BEGUN | (byte < 0xFF ? ZERO : 0));
  }
  return FPL_NOTHING;
}

uint8_t fpl_seal(uint8_t *wire, uint8_t length) {
  uint8_t *code = wire + 1, *end = wire + 2 + length + 4;
  fpl_put32(end - 4, fpl_crc(0, wire + 2, length));
  *wire = *end = 0;
  for (uint8_t *at = wire + 2; at <= end; at++)
    if (!*at) {
      *code = (uint8_t)(at - code);
      code = at;
    }
  *end = 0;
  return (uint8_t)(end + 1 - wire);
}

uint16_t fpl_get16(const uint8_t *at) { return (uint16_t)(at[0] | (uint16_t)at[1] << 8); }

uint32_t fpl_get32(const uint8_t *at) { return fpl_get16(at) | (uint32_t)fpl_get16(at + 2) << 16; }

void fpl_put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

void fpl_put32(uint8_t *at, uint32_t value) {
  fpl_put16(at, (uint16_t)value);
  fpl_put16(at + 2, (uint16_t)(value >> 16));
}
