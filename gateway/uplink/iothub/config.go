package iothub

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Config is the section of an upstream of type iothub.
type Config struct {
	SignInConfig
	Transport     string        `yaml:"transport" default:"mqtt" oneof:"mqtt|websocket" doc:"How MQTT is carried: on TLS, to port 8883, or in a WebSocket on TLS, to port 443, which more firewalls let through"`
	Proxy         config.Secret `yaml:"proxy" doc:"HTTP proxy to go through: http://user:password@host:3128. HTTPS_PROXY in the environment is not looked at" example:"http://proxy.example:3128"`
	CAFile        string        `yaml:"ca_file" doc:"PEM file with certificates to trust beside those of the system"`
	KeepAlive     time.Duration `yaml:"keep_alive" default:"60s" min:"10s" max:"1177s" doc:"Longest silence on the line; a dead link is noticed within one and a half times as long"`
	TokenTTL      time.Duration `yaml:"token_ttl" default:"6h" min:"1m" max:"24h" doc:"Life of the access token; the connection is made anew before it ends, which costs some 5 kB. Without meaning for certificates"`
	Tier          string        `yaml:"tier" default:"standard" oneof:"standard|basic" doc:"Tier of the hub. One of the basic tier sends nothing to its devices: no messages, no direct methods, no settings. The free tier counts as standard"`
	MethodTimeout time.Duration `yaml:"method_timeout" default:"25s" min:"1s" max:"300s" doc:"A direct method is answered within this time; make it shorter than the caller's own, which is 30s unless the caller says otherwise"`
	InFlight      int           `yaml:"in_flight" default:"64" min:"1" max:"1000" doc:"Messages that may be sent before the first of them is confirmed"`
	FilesConfig
	LabelConfig
	ChildList []ChildConfig `yaml:"children" doc:"Devices of the hub behind this gateway, each with an identity of its own; 16 at most"`
}

// The tiers.
const (
	tierStandard = "standard"
	tierBasic    = "basic"
)

// HasTwin reports whether the hub keeps a twin of the gateway.
func (c Config) HasTwin() bool { return c.Tier != tierBasic }

// Validate names every field at fault.
func (c Config) Validate() error {
	var f faults
	c.signIn(&f)
	if c.Transport != "" && c.Transport != overTLS && c.Transport != overWebSocket {
		f.add("transport", "%.20q is not allowed, want mqtt or websocket", c.Transport)
	}
	if _, err := mqtt.ParseProxy(c.Proxy.Reveal()); err != nil {
		f.add("proxy", "%v", err)
	}
	if c.KeepAlive < 10*time.Second || c.KeepAlive > 1177*time.Second {
		f.add("keep_alive", "%v is not allowed, want 10s to 1177s (the hub closes after 1.5 times as long, 1767 s at most)", c.KeepAlive)
	}
	if c.TokenTTL < time.Minute || c.TokenTTL > 24*time.Hour {
		f.add("token_ttl", "%v is not allowed, want 1m to 24h", c.TokenTTL)
	}
	if c.Tier != tierStandard && c.Tier != tierBasic {
		f.add("tier", "there is no tier %.40q, want standard or basic", c.Tier)
	}
	if c.MethodTimeout < time.Second || c.MethodTimeout > 300*time.Second {
		f.add("method_timeout", "%v is not allowed, want 1s to 300s", c.MethodTimeout)
	}
	if c.InFlight < 1 || c.InFlight > 1000 {
		f.add("in_flight", "%d is not allowed, want 1 to 1000", c.InFlight)
	}
	c.checkFiles(&f)
	c.checkChildren(&f)
	c.check(func(field, problem string) { f.add(field, "%s", problem) })
	return errors.Join(f...)
}

// The transports.
const (
	overTLS       = "mqtt"
	overWebSocket = "websocket"
)

// port is where hubs listen for the transport.
func (c Config) port() string {
	if c.Transport == overWebSocket {
		return "443"
	}
	return "8883"
}

// signIn makes of the keys what they say, and notes what is wrong with them.
func (c Config) signIn(f *faults) signIn { return c.SignInConfig.signIn(c.port(), f) }

// faults collects what is wrong with a config, field by field.
type faults []error

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}
