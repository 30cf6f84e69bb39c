/* sha256.S: SHA-256 (FIPS 180-4) of what is stored, made for size: what gcc makes of it in C is twice
 * as large, and does not fit beside the rest of the loader.
 *
 *   uint8_t sha256_matches(uint16_t size, const uint8_t *hash, struct sha256 *)
 *
 * tells whether that is the hash of the first bytes of the flash. It keeps Y alone: the caller names
 * r2 to r17 as clobbered.
 *
 *   r2, r3    hash
 *   r4        not 0: this block is the last one
 *   r6, r7    address of the next byte
 *   r8, r9    struct sha256: h[8], w[64], s[72]
 *   r10, r11  size
 */
	.section .text.sha256, "ax", @progbits
	.global sha256_matches
sha256_matches:
	push r28
	push r29
	movw r10, r24
	movw r2, r22
	movw r8, r20
	clr r4
	clr r6
	clr r7
	movw r26, r8
	ldi r30, lo8(first)
	ldi r31, hi8(first)
	ldi r18, 32
1:	lpm r0, Z+
	st X+, r0
	dec r18
	brne 1b

next_block: /* 64 bytes to w, whose words have their highest byte first; behind the end a one and noughts */
	movw r26, r8
	adiw r26, 32
	movw r30, r6
	ldi r18, 16
2:	adiw r26, 4
	ldi r20, 4
3:	clr r19
	cp r30, r10
	cpc r31, r11
	brsh 4f
	lpm r19, Z
4:	brne 5f
	ldi r19, 0x80
5:	st -X, r19
	adiw r30, 1
	dec r20
	brne 3b
	adiw r26, 4
	dec r18
	brne 2b
	movw r6, r30
	sub r30, r10
	sbc r31, r11
	sbiw r30, 9
	brlt 7f /* there is no room for the length in this one */
	inc r4
	movw r18, r10
	ldi r21, 3 /* bytes to bits */
6:	lsl r18
	rol r19
	rol r20
	dec r21
	brne 6b
	sbiw r26, 4
	st X+, r18
	st X+, r19
	st X+, r20
7:	rcall block
	tst r4
	breq next_block

	movw r30, r2
	movw r26, r8
	clr r24
	ldi r18, 8
1:	adiw r26, 4
	ldi r20, 4
2:	ld r19, -X
	ld r0, Z+
	cpse r19, r0
	inc r24
	dec r20
	brne 2b
	adiw r26, 4
	dec r18
	brne 1b
	pop r29
	pop r28
	cpse r24, r1
	ldi r24, 1
	ldi r25, 1
	eor r24, r25
	ret

/* block goes on with the hash over the block in w[0..15]. The eight words of a round move down
 * through s by one place a round, so that nothing is copied: at Y is the new a, after it a to h of the
 * round before.
 *
 *   r18..r21  sum, in which a round or a word of w is made
 *   r22..r25  x, the word in hand
 *   r12..r15  sigma so far, 0 between two
 *   r16, r17  count of a rotation, of rounds
 */
	.macro x_from p, at
	ldd r22, \p+\at
	ldd r23, \p+\at+1
	ldd r24, \p+\at+2
	ldd r25, \p+\at+3
	.endm

	.macro sum_from p, at
	ldd r18, \p+\at
	ldd r19, \p+\at+1
	ldd r20, \p+\at+2
	ldd r21, \p+\at+3
	.endm

	.macro sum_to p
	st \p+, r18
	st \p+, r19
	st \p+, r20
	st \p+, r21
	.endm

	.macro turn n, how
	ldi r16, \n
	rcall \how
	.endm

block:
	clr r12
	clr r13
	movw r14, r12

	/* w[i] = w[i-16] + s0(w[i-15]) + w[i-7] + s1(w[i-2]), Z at w[i-16], X at w[i] */
	movw r30, r8
	adiw r30, 32
	movw r26, r30
	subi r26, -64
	sbci r27, -1
	ldi r17, 48
word:
	sum_from Z, 0
	x_from Z, 36
	rcall add_x
	x_from Z, 4
	turn 7, rotate_into_sigma
	turn 18-7, rotate_into_sigma
	turn 3+32-18, rotate
	andi r25, 0xff>>3 /* a shift by 3 */
	rcall into_and_add_sigma
	x_from Z, 56
	turn 17, rotate_into_sigma
	turn 19-17, rotate_into_sigma
	turn 10+32-19, rotate
	clr r25 /* a shift by 10 */
	andi r24, 0xff>>2
	rcall into_and_add_sigma
	sum_to X
	adiw r30, 4
	dec r17
	brne word

	/* s[64..71] = h. X is behind w, which is s[0]. */
	movw r30, r8
	movw r28, r26
	inc r29 /* 64 words on */
	ldi r16, 32
copy:
	ld r0, Z+
	st Y+, r0
	dec r16
	brne copy
	sbiw r28, 32
	dec r27 /* X at w[0] */
	ldi r30, lo8(k)
	ldi r31, hi8(k)
	ldi r17, 64
round:
	sbiw r28, 4
	lpm r18, Z+
	lpm r19, Z+
	lpm r20, Z+
	lpm r21, Z+
	ld r22, X+
	ld r23, X+
	ld r24, X+
	ld r25, X+
	rcall add_x
	x_from Y, 32 /* h */
	rcall add_x
	x_from Y, 20 /* e */
	turn 6, rotate_into_sigma
	turn 11-6, rotate_into_sigma
	turn 25-11, rotate_into_sigma
	rcall add_sigma
	x_from Y, 20 /* where e has ones f, where it has noughts g */
	rcall choose
	x_from Y, 16 /* d */
	add r22, r18
	adc r23, r19
	adc r24, r20
	adc r25, r21
	std Y+16, r22
	std Y+17, r23
	std Y+18, r24
	std Y+19, r25
	x_from Y, 4 /* a */
	turn 2, rotate_into_sigma
	turn 13-2, rotate_into_sigma
	turn 22-13, rotate_into_sigma
	rcall add_sigma
	/* where a and b agree b, elsewhere c: the majority */
	x_from Y, 4
	ldd r0, Y+8
	eor r22, r0
	ldd r0, Y+9
	eor r23, r0
	ldd r0, Y+10
	eor r24, r0
	ldd r0, Y+11
	eor r25, r0
	com r22
	com r23
	com r24
	com r25
	sbiw r28, 16
	rcall choose
	adiw r28, 16
	sum_to Y
	sbiw r28, 4
	dec r17
	breq result
	rjmp round

result: /* h += s[0..7] */
	movw r30, r8
	ldi r17, 8
1:	sum_from Z, 0
	x_from Y, 0
	rcall add_x
	sum_to Z
	adiw r28, 4
	dec r17
	brne 1b
	ret

rotate:
	bst r22, 0
	ror r25
	ror r24
	ror r23
	ror r22
	bld r25, 7
	dec r16
	brne rotate
	ret

/* choose: sum += the bits of the word at Y+24 where x has ones, of that at Y+28 elsewhere. */
	.macro choose_byte x, at
	ldd r0, Y+24+\at
	ldd r16, Y+28+\at
	eor r0, r16
	and \x, r0
	eor \x, r16
	.endm

choose:
	choose_byte r22, 0
	choose_byte r23, 1
	choose_byte r24, 2
	choose_byte r25, 3
	rjmp add_x

rotate_into_sigma:
	rcall rotate
into_sigma:
	eor r12, r22
	eor r13, r23
	eor r14, r24
	eor r15, r25
	ret

into_and_add_sigma:
	rcall into_sigma
add_sigma:
	movw r22, r12
	movw r24, r14
	rcall into_sigma /* itself: 0 */
add_x:
	add r18, r22
	adc r19, r23
	adc r20, r24
	adc r21, r25
	ret

first:
	.long 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
k:
	.long 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
	.long 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
	.long 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
	.long 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
	.long 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
	.long 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
	.long 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
	.long 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
