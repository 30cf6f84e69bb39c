package iothub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// sharedKey is a credential that signs tokens.
type sharedKey []byte

// parseKey reads a key as portals show it. Its errors never quote the key.
func parseKey(s string) (sharedKey, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(key) == 0 {
		return nil, errors.New("is not base64; copy the whole key, with the = at its end")
	}
	return key, nil
}

func (k sharedKey) prove(resource, policy string, expires time.Time) (proof, error) {
	return proof{token: k.token(resource, policy, expires)}, nil
}

func (k sharedKey) renewable() bool { return true }

func (k sharedKey) hint() string {
	return "the key, and that the clock of this board is right"
}

// token signs the right to a resource until expires.
//
// Source: Microsoft, "Control access to IoT Hub with shared access
// signatures": HMAC-SHA256 over the encoded resource, a line feed and the
// expiry in Unix seconds.
func (k sharedKey) token(resource, policy string, expires time.Time) string {
	resource = escape(resource)
	signature := escape(base64.StdEncoding.EncodeToString(k.sign(fmt.Sprintf("%s\n%d", resource, expires.Unix()))))
	token := fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d", resource, signature, expires.Unix())
	if policy != "" {
		token += "&skn=" + escape(policy)
	}
	return token
}

func (k sharedKey) sign(text string) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(text)) // a hash returns no error
	return mac.Sum(nil)
}

// derive is the key of one board in an enrolment group, of which k is the key.
//
// Source: Microsoft, "Symmetric key attestation", group enrolments.
func (k sharedKey) derive(registration string) sharedKey { return k.sign(registration) }

// escape percent-encodes all that could mean something in a topic or a token.
// A space becomes %20: receivers do not read + as one.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
