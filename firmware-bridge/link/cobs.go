package link

// appendCOBS appends b in COBS, which has no zeros, to dst.
func appendCOBS(dst, b []byte) []byte {
	code := len(dst) // where the code of the open block stands
	dst = append(dst, 1)
	for i, x := range b {
		if x != 0 {
			dst = append(dst, x)
			dst[code]++
		}
		if x == 0 || dst[code] == 0xFF && i+1 < len(b) {
			code = len(dst)
			dst = append(dst, 1)
		}
	}
	return dst
}

// decodeCOBS undoes appendCOBS within b. It says false if a block goes beyond the end.
func decodeCOBS(b []byte) ([]byte, bool) {
	out := b[:0] // never ahead of what is read
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || n > len(b) {
			return nil, false
		}
		out = append(out, b[1:n]...)
		b = b[n:]
		if n < 0xFF && len(b) > 0 {
			out = append(out, 0)
		}
	}
	return out, true
}
