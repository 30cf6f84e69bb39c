package iothub

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// Config is the section of an upstream of type iothub.
type Config struct {
	ConnectionString config.Secret `yaml:"connection_string" required:"true" doc:"Device connection string of the hub: HostName=…;DeviceId=…;SharedAccessKey=…" example:"${file:/etc/fieldpost/secrets/hub}"`
	CAFile           string        `yaml:"ca_file" doc:"PEM file with certificates to trust beside those of the system"`
	KeepAlive        time.Duration `yaml:"keep_alive" default:"60s" min:"10s" max:"1177s" doc:"Longest silence on the line; a dead link is noticed within one and a half times as long"`
	TokenTTL         time.Duration `yaml:"token_ttl" default:"1h" min:"1m" max:"24h" doc:"Life of the access token; the connection is renewed before it ends"`
	InFlight         int           `yaml:"in_flight" default:"64" min:"1" max:"1000" doc:"Messages that may be sent before the first of them is confirmed"`
	LabelConfig
}

// Validate names every field at fault.
func (c Config) Validate() error {
	var faults []error
	fault := func(field, problem string) {
		faults = append(faults, &gateway.FieldError{Field: field, Problem: problem})
	}
	if _, err := parseConnectionString(c.ConnectionString.Reveal()); err != nil {
		fault("connection_string", err.Error())
	}
	if c.KeepAlive < 10*time.Second || c.KeepAlive > 1177*time.Second {
		fault("keep_alive", fmt.Sprintf("%v is not allowed, want 10s to 1177s (the hub closes after 1.5 times as long, 1767 s at most)", c.KeepAlive))
	}
	if c.TokenTTL < time.Minute || c.TokenTTL > 24*time.Hour {
		fault("token_ttl", fmt.Sprintf("%v is not allowed, want 1m to 24h", c.TokenTTL))
	}
	if c.InFlight < 1 || c.InFlight > 1000 {
		fault("in_flight", fmt.Sprintf("%d is not allowed, want 1 to 1000", c.InFlight))
	}
	c.check(fault)
	return errors.Join(faults...)
}
