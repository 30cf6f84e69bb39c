package mqtt

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// refusal is why there is no connection, nil if there is one. The CONNACK
// return codes are those of MQTT 3.1.1, table 3.1.
func (c *Conn) refusal(token *paho.ConnectToken) error {
	switch code := token.ReturnCode(); code {
	case packets.ErrRefusedBadProtocolVersion:
		return fmt.Errorf("the server does not speak MQTT 3.1.1: %w", uplink.ErrRefused)
	case packets.ErrRefusedIDRejected:
		return fmt.Errorf("the server rejects the client id %q: %w", c.opts.ClientID, uplink.ErrRefused)
	case packets.ErrRefusedServerUnavailable:
		return fmt.Errorf("the server says that it is %w", gateway.ErrUnavailable)
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return fmt.Errorf("%w (code %d)", uplink.ErrRefused, code)
	}
	err := cmp.Or(c.Err(), token.Error()) // ours is more exact than paho's
	if c.opts.TLS != nil && c.opts.TLS.GetClientCertificate != nil && isAlert(err) {
		return fmt.Errorf("the server does not take the certificate: %w: %w", uplink.ErrRefused, err)
	}
	return err
}

// isAlert tells whether the server has ended TLS with a reason. With TLS 1.3 it
// judges a certificate only after the handshake.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// explainTLS says what to do about a server certificate that does not verify.
func explainTLS(server string, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var hostname x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		issuer := "an unknown CA"
		if unknown.Cert != nil {
			issuer = fmt.Sprintf("%q", unknown.Cert.Issuer.String())
		}
		return fmt.Errorf("the certificate of %s was issued by %s, which is not trusted here; set ca_file to the PEM file of that CA: %w", server, issuer, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of %s is not valid at this time; check the clock of this board, then the server: %w", server, err)
	case errors.As(err, &hostname):
		return fmt.Errorf("the certificate is for another name than %s; check the host name in the configuration: %w", server, err)
	}
	return fmt.Errorf("TLS with %s: %w", server, err)
}
