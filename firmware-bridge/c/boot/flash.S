/* flash.S: a page of the flash is written.
 *
 *   uint8_t write_page(uint16_t address, const uint8_t *bytes);
 *
 * erases it, writes it, reads it back, and returns a status.
 */
#define __SFR_OFFSET 0
#include <avr/io.h>

	.section .text.flash, "ax", @progbits
	.global write_page
write_page:
	movw r30, r24
	movw r26, r22
	ldi r18, 1<<PGERS | 1<<SPMEN
	rcall program
	ldi r19, SPM_PAGESIZE/2
1:	ld r0, X+
	ld r1, X+
	ldi r18, 1<<SPMEN
	rcall program
	adiw r30, 2
	dec r19
	brne 1b
	clr r1
	movw r30, r24
	ldi r18, 1<<PGWRT | 1<<SPMEN
	rcall program
	ldi r18, 1<<RWWSRE | 1<<SPMEN
	rcall program
	movw r26, r22
	ldi r19, SPM_PAGESIZE
	clr r24
2:	lpm r0, Z+
	ld r18, X+
	cpse r0, r18
	ldi r24, 5 /* FPL_FAILED */
	dec r19
	brne 2b
	ret

program: /* what r18 says, at Z, with the word in r0 and r1 */
	out SPMCSR, r18
	spm
1:	in r18, SPMCSR
	sbrc r18, SPMEN
	rjmp 1b
	ret
