/* line.S: a frame goes out.
 *
 *   void put(uint8_t byte);
 *   void send(void);                                        of s->frame, with s->length bytes of payload
 *   uint32_t crc_of(const uint8_t *bytes, uint8_t count);   CRC-32C, not inverted at the end
 *   uint32_t crc_step(uint32_t crc, uint8_t byte);          goes on with one
 */
#include <avr/io.h>

#include "loader.h"

	.section .text.line, "ax", @progbits
	.global put
	.global send
	.global crc_of
	.global crc_step

put: /* keeps X and all but r25 */
	lds r25, UCSR0A
	sbrs r25, UDRE0
	rjmp put
	sts UDR0, r24
	ret

send:
	ldi r24, 1
	std Y+AT_FRAME, r24 /* version */
	movw r24, r28
	adiw r24, AT_FRAME
	ldd r22, Y+AT_LENGTH
	subi r22, -6 /* and the header */
	rcall crc_of
	com r22
	com r23
	com r24
	com r25
	st X+, r22
	st X+, r23
	st X+, r24
	st X+, r25
	st X, r1
	/* COBS, from the end: each zero becomes the way to the next one */
	ldi r18, 1
	ldd r19, Y+AT_LENGTH
	subi r19, -10
1:	ld r20, -X
	tst r20
	brne 2f
	st X, r18
	clr r18
2:	inc r18
	dec r19
	brne 1b
	st -X, r18
	clr r24
	rcall put
3:	ld r24, X+
	rcall put
	tst r24
	brne 3b
	ret

crc_of: /* leaves X behind the bytes */
	movw r26, r24
	mov r18, r22
	ldi r22, 0xff
	ldi r23, 0xff
	movw r24, r22
1:	ld r20, X+
	rcall crc_step
	dec r18
	brne 1b
	ret

crc_step:
	eor r22, r20
	ldi r20, 8
1:	lsr r25
	ror r24
	ror r23
	ror r22
	brcc 2f
	ldi r21, 0x82 /* the polynomial, reflected: 82F63B78 */
	eor r25, r21
	ldi r21, 0xf6
	eor r24, r21
	ldi r21, 0x3b
	eor r23, r21
	ldi r21, 0x78
	eor r22, r21
2:	dec r20
	brne 1b
	ret
