package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// Config is the section of an upstream of type mqtt.
type Config struct {
	URL             string        `yaml:"url" required:"true" doc:"Where the broker listens: mqtt://host:1883, or mqtts://host:8883 with TLS" example:"mqtts://broker.example:8883"`
	ClientID        string        `yaml:"client_id" doc:"MQTT client id, the same for ever and of this gateway alone; fieldpost-{gateway} if empty"`
	Username        string        `yaml:"username" doc:"User name for the broker"`
	Password        config.Secret `yaml:"password" doc:"Password for the broker" example:"${file:/etc/fieldpost/secrets/broker}"`
	CAFile          string        `yaml:"ca_file" doc:"PEM file with certificates to trust beside those of the system; mqtts only"`
	Topic           string        `yaml:"topic" default:"fieldpost/{gateway}/{lane}" doc:"Topic of outgoing messages; {gateway}, {lane} and {kind} are filled in"`
	CommandTopic    string        `yaml:"command_topic" default:"fieldpost/{gateway}/commands" doc:"Topic on which commands come in; {gateway} is filled in"`
	StatusTopic     string        `yaml:"status_topic" default:"fieldpost/{gateway}/status" doc:"Topic of the retained online or offline; {gateway} is filled in"`
	KeepAlive       time.Duration `yaml:"keep_alive" default:"60s" min:"10s" max:"18h" doc:"Longest silence on the line; a dead link is noticed within one and a half times as long"`
	InFlight        int           `yaml:"in_flight" default:"64" min:"1" max:"1000" doc:"Messages that may be sent before the first of them is confirmed"`
	MaxMessageBytes int           `yaml:"max_message_bytes" default:"262144" min:"1024" max:"268000000" doc:"Largest message that the broker takes"`
}

// Validate names every field at fault.
func (c Config) Validate() error {
	var faults []error
	check := func(field string, err error) {
		if err != nil {
			faults = append(faults, &gateway.FieldError{Field: field, Problem: err.Error()})
		}
	}
	place, err := parseURL(c.URL)
	check("url", err)
	if err == nil && !place.secure && c.CAFile != "" {
		check("ca_file", errors.New("is for mqtts:// only, and url is mqtt://"))
	}
	if c.Username == "" && c.Password != "" {
		check("password", errors.New("needs a username beside it"))
	}
	_, misplaced := c.topics("x")
	faults = append(faults, misplaced...)
	if c.KeepAlive < 10*time.Second || c.KeepAlive > 18*time.Hour {
		check("keep_alive", fmt.Errorf("%v is not allowed, want 10s to 18h", c.KeepAlive))
	}
	if c.InFlight < 1 || c.InFlight > 1000 {
		check("in_flight", fmt.Errorf("%d is not allowed, want 1 to 1000", c.InFlight))
	}
	if c.MaxMessageBytes < 1024 || c.MaxMessageBytes > 268_000_000 {
		check("max_message_bytes", fmt.Errorf("%d is not allowed, want 1024 to 268000000", c.MaxMessageBytes))
	}
	return errors.Join(faults...)
}

// endpoint is where a broker listens.
type endpoint struct {
	dial, serverName string
	secure           bool
}

func parseURL(s string) (endpoint, error) {
	const want = "want mqtt://host:port or mqtts://host:port"
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return endpoint{}, errors.New(want)
	}
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883"}
	port, known := ports[u.Scheme]
	switch {
	case !known:
		return endpoint{}, fmt.Errorf("the scheme %.20q is unknown, %s", u.Scheme, want)
	case u.User != nil:
		return endpoint{}, errors.New("holds a user; use username and password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return endpoint{}, fmt.Errorf("holds more than a host and a port, %s", want)
	case u.Port() != "":
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("the port %s is not one of 1 to 65535", port)
	}
	return endpoint{dial: net.JoinHostPort(u.Hostname(), port), serverName: u.Hostname(), secure: u.Scheme == "mqtts"}, nil
}
