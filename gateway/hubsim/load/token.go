package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"
)

// token is a shared access signature over a resource, with the key of the
// policy.
//
// Source: Microsoft, "Control access to IoT Hub with shared access signatures".
func (f *fleet) token(resource string, life time.Duration) string {
	secret, _ := base64.StdEncoding.DecodeString(f.key) // a wrong one is refused by the hub
	what := fmt.Sprintf("%s\n%d", url.QueryEscape(resource), time.Now().Add(life).Unix())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(what)) // a hash returns no error
	signature := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s", url.QueryEscape(resource), signature, what[len(url.QueryEscape(resource))+1:], url.QueryEscape(f.policy))
}
