/* loader.h: what the loader's parts in C and in assembler know of each other. */
#ifndef LOADER_H
#define LOADER_H

/* Fields of the state, to which Y points. */
#define AT_LENGTH 4
#define AT_FRAME 9

#ifndef __ASSEMBLER__
#include <stdint.h>

/* What SHA-256 needs of memory. */
struct sha256 {
  uint32_t h[8], w[64], s[72];
};

/* line.S */
void put(uint8_t byte);
void send(void); /* the frame; what there was of it is gone then */

/* crc_of makes a CRC-32C that is not inverted at the end, of 1 to 255 bytes. */
uint32_t crc_of(const uint8_t *bytes, uint8_t count);

/* crc_step goes on with one, by a byte. */
uint32_t crc_step(uint32_t crc, uint8_t byte);

/* flash.S: write_page erases a page, writes it, reads it back, and returns a status. */
uint8_t write_page(uint16_t address, const uint8_t *bytes);
#endif

#endif
