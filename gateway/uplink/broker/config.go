package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Config is the section of an upstream of type mqtt.
type Config struct {
	URL             string        `yaml:"url" required:"true" doc:"Where the broker listens: mqtt://host:1883, or mqtts://host:8883 with TLS; ws://host:80/mqtt or wss://host:443/mqtt in a WebSocket" example:"mqtts://broker.example:8883"`
	Proxy           config.Secret `yaml:"proxy" doc:"HTTP proxy to go through: http://user:password@host:3128. HTTPS_PROXY in the environment is not looked at" example:"http://proxy.example:3128"`
	ClientID        string        `yaml:"client_id" doc:"MQTT client id, the same for ever and of this gateway alone; fieldpost-{gateway} if empty"`
	Username        string        `yaml:"username" doc:"User name for the broker"`
	Password        config.Secret `yaml:"password" doc:"Password for the broker" example:"${file:/etc/fieldpost/secrets/broker}"`
	CAFile          string        `yaml:"ca_file" doc:"PEM file with certificates to trust beside those of the system; mqtts and wss only"`
	Topic           string        `yaml:"topic" default:"fieldpost/{gateway}/{lane}" doc:"Topic of outgoing messages; {gateway}, {lane} and {kind} are filled in"`
	CommandTopic    string        `yaml:"command_topic" default:"fieldpost/{gateway}/commands" doc:"Topic on which commands come in, and those below it: command_topic/DEVICE/ACTION, with or without an id behind that; {gateway} is filled in"`
	ResponseTopic   string        `yaml:"response_topic" default:"fieldpost/{gateway}/responses/{id}" doc:"Topic on which the result of a command is told to its sender; {gateway} and {id}, that of the command, are filled in. A command can name another one that begins alike, in reply_to"`
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
		check("ca_file", errors.New("is for mqtts:// and wss:// only, and url is neither"))
	}
	_, err = mqtt.ParseProxy(c.Proxy.Reveal())
	check("proxy", err)
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
