package iothub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const apiVersion = "2021-04-12"

func (id identity) userName() string {
	return id.host + "/" + id.device + "/?api-version=" + apiVersion
}

// token signs the right to connect as this device until expires.
//
// Source: Microsoft, "Control access to IoT Hub with shared access
// signatures": HMAC-SHA256 over the encoded resource, a line feed and the
// expiry in Unix seconds.
func (id identity) token(expires time.Time) string {
	resource := escape(id.host + "/devices/" + id.device)
	mac := hmac.New(sha256.New, id.key)
	fmt.Fprintf(mac, "%s\n%d", resource, expires.Unix())
	signature := escape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d", resource, signature, expires.Unix())
}

// escape percent-encodes all that could mean something in a topic or a token.
// A space becomes %20: receivers do not read + as one.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
