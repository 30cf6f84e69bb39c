package iothub

import (
	"context"
	"net"
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// endpoint is where a service listens.
type endpoint struct {
	// dial is where to connect, "host:port", and serverName the name that the
	// certificate there must carry.
	dial, serverName string
}

// line opens connections as the config says how: over which transport and
// through which proxy.
type line struct {
	webSocket bool
	proxy     *mqtt.Proxy
	meter     *uplink.Meter
}

func newLine(c Config) *line {
	proxy, _ := mqtt.ParseProxy(c.Proxy.Reveal()) // Validate has told the fault
	return &line{webSocket: c.Transport == overWebSocket, proxy: proxy}
}

// newTrust is for servers of one kind. Each kind has a copy of its own, since a
// bundle that is right for the hub may not be so for the provisioning service.
func newTrust(kind string, c Config, p Parts) *mqtt.Trust {
	o := mqtt.TrustOptions{
		Bundle: c.CAFile, Replacement: p.CA, Proves: kind == "hub" && p.Twin != nil && p.CA != nil,
		Condition: "ca-file:" + kind, Now: p.Clock.Now, Health: p.Health, Log: p.Log,
	}
	if p.DataDir != "" {
		o.Copy = filepath.Join(p.DataDir, "ca-"+kind+".pem")
	}
	return mqtt.NewTrust(o)
}

// dial signs in at an endpoint that is to be trusted. o says the rest.
func (l *line) dial(ctx context.Context, at endpoint, trust *mqtt.Trust, p proof, o mqtt.Options) (*mqtt.Conn, error) {
	settings, settle, err := trust.TLS(at.serverName)
	if err != nil {
		return nil, err
	}
	p.show(settings)
	o.Address, o.TLS, o.Proxy, o.Meter, o.Password = at.dial, settings, l.proxy, l.meter, p.token
	if l.webSocket {
		o.WebSocket = webSocketURL(at.dial, p.certificate != nil)
	}
	conn, err := mqtt.Dial(ctx, o)
	settle(err)
	return conn, err
}

// webSocketURL is where hubs and the provisioning service serve WebSockets. Who
// has no certificate says so, or the service would ask for one within TLS.
//
// Source: Azure SDK for Embedded C, az_iot_hub_client.h.
func webSocketURL(dial string, certified bool) string {
	host, port, err := net.SplitHostPort(dial)
	if err != nil || port != "443" {
		host = dial
	}
	url := "wss://" + host + "/$iothub/websocket"
	if !certified {
		url += "?iothub-no-client-cert=true"
	}
	return url
}
