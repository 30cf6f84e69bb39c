package hubsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// token is a shared access signature:
//
//	SharedAccessSignature sr=…&sig=…&se=…[&skn=…]
//
// with the fields in any order.
type token struct {
	host, path string // the resource, decoded: "localhost", "devices/d1"
	policy     string // "" if a device's own key has signed
	expires    time.Time
	// signed is what the signature covers, in the spelling of the token:
	// clients differ in how they encode, and a signature covers bytes.
	signed    string
	signature []byte
}

func parseToken(s string) (token, error) {
	rest, ok := strings.CutPrefix(s, "SharedAccessSignature ")
	if !ok {
		return token{}, errors.New("the token does not begin with \"SharedAccessSignature \"")
	}
	fields := map[string]string{}
	for pair := range strings.SplitSeq(rest, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "sr", "sig", "se", "skn":
		default:
			return token{}, fmt.Errorf("the token has a field %.20q, want sr, sig, se and perhaps skn", name)
		}
		if _, twice := fields[name]; twice || value == "" {
			return token{}, fmt.Errorf("field %s of the token is empty or there twice", name)
		}
		fields[name] = value
	}
	return newToken(fields)
}

func newToken(fields map[string]string) (t token, err error) {
	resource, err := url.PathUnescape(fields["sr"])
	if err != nil || resource == "" {
		return token{}, errors.New("field sr of the token is missing or badly encoded")
	}
	t.host, t.path, _ = strings.Cut(resource, "/")
	t.host, t.path = withoutPort(t.host), strings.TrimSuffix(t.path, "/")
	seconds, err := strconv.ParseUint(fields["se"], 10, 48)
	if err != nil {
		return token{}, fmt.Errorf("field se of the token is %.20q, want seconds since 1970", fields["se"])
	}
	t.expires = time.Unix(int64(seconds), 0)
	signature, err := url.PathUnescape(fields["sig"])
	if err == nil {
		t.signature, err = base64.StdEncoding.DecodeString(signature)
	}
	if err != nil || len(t.signature) == 0 {
		return token{}, errors.New("field sig of the token is missing or no percent-encoded base64")
	}
	if t.policy, err = url.PathUnescape(fields["skn"]); err != nil {
		return token{}, errors.New("field skn of the token is badly encoded")
	}
	t.signed = fields["sr"] + "\n" + fields["se"]
	return t, nil
}

// signedBy reports whether one of the keys, which are base64, has signed t.
func (t token) signedBy(keys ...string) bool {
	for _, key := range keys {
		if secret, err := base64.StdEncoding.DecodeString(key); err == nil && len(secret) > 0 &&
			hmac.Equal(t.signature, sign(secret, t.signed)) {
			return true
		}
	}
	return false
}

func sign(secret []byte, text string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text)) // a hash returns no error
	return mac.Sum(nil)
}

// covers reports whether the token is for path or for something above it:
// "a/b" covers "a/b/c", but not "a/bc".
func (t token) covers(path string) bool {
	rest, ok := strings.CutPrefix(path, t.path)
	return ok && (t.path == "" || rest == "" || rest[0] == '/')
}

// withoutPort cuts the :port that some clients leave at the hub's name.
func withoutPort(host string) string {
	name, port, ok := strings.Cut(host, ":")
	if _, err := strconv.ParseUint(port, 10, 16); ok && err == nil {
		return name
	}
	return host
}
