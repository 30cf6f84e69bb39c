package service

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The CAs that count in place of ca_file come as one text, or, since a hub takes
// texts of 4 kB at most, as several under names of any kind:
//
//	"settings": {"ca": {"1": "-----BEGIN CERTIFICATE-----…", "2": "…"}}

// maxCABytes bounds all texts together: it is what a hub takes as desired
// properties altogether.
const maxCABytes = 32 << 10

func (p *settingsParser) ca(place string, v any) {
	texts := map[string]string{}
	switch v := v.(type) {
	case string:
		texts[place] = v
	case map[string]any:
		for name, inner := range v {
			text, ok := inner.(string)
			if !ok {
				p.fault(place+"."+name, "want a text, of certificates in PEM form")
				continue
			}
			texts[place+"."+name] = text
		}
	default:
		p.fault(place, "want certificates in PEM form, as a text or an object of texts")
		return
	}
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	if size == 0 || size > maxCABytes {
		p.fault(place, "has %d bytes; want certificates in PEM form of at most %d bytes; left out: those of ca_file", size, maxCABytes)
		return
	}
	for _, place := range slices.Sorted(maps.Keys(texts)) {
		p.certificates(place, texts[place])
	}
}

// certificates reads a text. Notes between the certificates are allowed.
func (p *settingsParser) certificates(place, text string) {
	blocks := strings.Count(text, "-----BEGIN ")
	read := 0
	for rest := []byte(text); ; read++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		p.certificate(fmt.Sprintf("%s, block %d", place, read+1), block)
	}
	switch {
	case blocks == 0:
		p.fault(place, "holds no certificate in PEM form")
	case read != blocks:
		p.fault(place, "%d of %d blocks are no PEM that can be read; keep their lines as they are", blocks-read, blocks)
	}
}

// certificate takes one, if it is that of a CA which has not ended.
func (p *settingsParser) certificate(place string, block *pem.Block) {
	if block.Type != "CERTIFICATE" {
		p.fault(place, "is a %.40q; want certificates alone", block.Type)
		return
	}
	c, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		p.fault(place, "the certificate cannot be read: %v", err)
	case !c.BasicConstraintsValid || !c.IsCA:
		p.fault(place, "the certificate of %.80q is not one of a CA", c.Subject)
	case p.now.After(c.NotAfter):
		p.fault(place, "the certificate of %.80q ended on %s", c.Subject, c.NotAfter.UTC().Format(time.DateOnly))
	default:
		p.parsed.ca = append(p.parsed.ca, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: c.Raw})...)
	}
}
