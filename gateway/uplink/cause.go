package uplink

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// The conditions that say why there is no connection, or none that lasts. One of
// them at most stands at a time; all but ConditionRefused wait with
// ConditionOffline until it is worth a word.
const (
	// ConditionRefused: the peer refuses the login, or a subscription behind it.
	ConditionRefused = "uplink-refused"
	// ConditionName: the name of the peer is not found.
	ConditionName = "uplink-name"
	// ConditionUnreachable: the peer, or the proxy, does not answer.
	ConditionUnreachable = "uplink-unreachable"
	// ConditionUnavailable: the peer says that it does not work now.
	ConditionUnavailable = "uplink-unavailable"
	// ConditionUntrusted: the peer's certificate is not to be believed.
	ConditionUntrusted = "uplink-untrusted"
	// ConditionThrottled: the peer takes logins and confirms no message.
	ConditionThrottled = "uplink-throttled"
	// ConditionQuota: it has done so for a while.
	ConditionQuota = "uplink-quota"
	// ConditionKicked: connections work and end soon, again and again.
	ConditionKicked = "uplink-kicked"
)

// cause is why there is no connection. The zero cause is not known, or has
// another condition.
type cause struct {
	code     string
	severity health.Severity
	advice   string
}

func (c cause) summary(lastError string) string {
	if c.advice == "" {
		return lastError
	}
	return c.advice + ": " + lastError
}

// causeOf judges why an attempt has opened no session.
func causeOf(err error) cause {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var file *fs.PathError
	switch {
	case errors.Is(err, ErrNotReady), errors.Is(err, gateway.ErrInvalid), errors.As(err, &file): // a thing of this board: the error says it all
		return cause{}
	case errors.Is(err, ErrRefused):
		return cause{ConditionRefused, health.Error, ""} // upstreams say what to check
	case errors.Is(err, gateway.ErrDenied):
		return cause{ConditionRefused, health.Error, "the server takes the login and refuses a subscription; check its access rules for this gateway"}
	case errors.As(err, &certificate):
		return cause{ConditionUntrusted, health.Error, "the server cannot be verified"}
	case errors.As(err, &dns) && dns.IsNotFound:
		return cause{ConditionName, health.Warning, "there is no such name; check the host in the configuration, and the DNS of this network"}
	case errors.As(err, &dns):
		return cause{ConditionName, health.Warning, "names cannot be looked up; check the network, and /etc/resolv.conf"}
	case errors.Is(err, gateway.ErrUnavailable):
		return cause{ConditionUnavailable, health.Warning, "the server does not work now, for maintenance for example; it is tried again"}
	default:
		return cause{ConditionUnreachable, health.Warning, "the server cannot be reached; check the network, the proxy if there is one, and that a firewall lets the port through"}
	}
}

// losses looks for a pattern in how sessions end. A hub gives no reason for
// closing a connection.
type losses struct {
	kicked int       // in a row that worked and were lost soon
	cut    int       // in a row that ended without a PUBACK
	since  time.Time // of the first of cut
}

const (
	// soon separates a connection that was cut short from one that was at work.
	soon = 5 * time.Second
	// idle is how long a session without a message lasts that was not cut at
	// once.
	idle = 500 * time.Millisecond
	// suspicious is how many losses in a row make a pattern.
	suspicious = 2
	// From quotaAfter and quotaLosses on throttling is no longer the likely cause:
	// it is by the second.
	quotaAfter  = 5 * time.Minute
	quotaLosses = 5
	// steady is how long a session lasts that nobody kicks.
	steady = time.Minute
)

// ended notes the end of a session, which may complete a pattern.
func (l *losses) ended(end sessionEnd, lasted time.Duration, now time.Time) cause {
	sent := end.acked+end.unconfirmed > 0
	switch {
	case end.acked == 0 && sent && (lasted <= soon || errors.Is(end.err, gateway.ErrTimeout)),
		end.acked == 0 && lasted <= idle:
		return l.cutShort(now)
	case lasted <= soon:
		l.cut = 0
		if l.kicked++; l.kicked >= suspicious {
			return cause{ConditionKicked, health.Error, "connections work and are lost soon, again and again; another client is probably connected with the same identity: stop it, or give each its own"}
		}
	default:
		*l = losses{}
	}
	return cause{}
}

// renewed notes a session that was not lost at all.
func (l *losses) renewed(lasted time.Duration) {
	if lasted >= steady {
		*l = losses{}
	}
}

// cutShort notes a connection that came to nothing after the login.
func (l *losses) cutShort(now time.Time) cause {
	l.kicked = 0
	if l.cut++; l.cut == 1 {
		l.since = now
	}
	const fact = "the server takes the login and confirms no message"
	switch lasting := now.Sub(l.since); {
	case l.cut >= quotaLosses && lasting >= quotaAfter:
		return cause{ConditionQuota, health.Error, fact + ", for a while now; its quota is probably used up: that of IoT Hub begins anew at 0:00 UTC, and a unit more raises it"}
	case l.cut >= suspicious:
		return cause{ConditionThrottled, health.Warning, fact + "; it is probably throttling, and is asked more and more seldom"}
	}
	return cause{}
}
