package service

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // a board need not have the zones of the world

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/latest"
	"github.com/fieldpost/fieldpost/gateway/rules"
)

// PositionConfig is the section gateway.position.
type PositionConfig struct {
	Latitude  *float64 `yaml:"latitude" doc:"Degrees, north is positive." min:"-90" max:"90" example:"52.52"`
	Longitude *float64 `yaml:"longitude" doc:"Degrees, east is positive." min:"-180" max:"180" example:"13.4"`
	Device    string   `yaml:"device" doc:"A device that tells the position, by its quantities latitude and longitude. Until it has, the one given here counts, if there is one." example:"gps"`
}

// The quantities by which a device tells where it is.
const (
	quantityLatitude  = "latitude"
	quantityLongitude = "longitude"
)

// Validate checks what no tag can say.
func (c *PositionConfig) Validate() error {
	switch {
	case (c.Latitude == nil) != (c.Longitude == nil):
		return errors.New("has one of latitude and longitude; want both")
	case c.Latitude == nil && c.Device == "":
		return errors.New("is empty; want latitude and longitude, or device")
	}
	return nil
}

// Validate checks what no tag can say.
func (c *GatewayConfig) Validate() error {
	if _, err := c.zone(); err != nil {
		return &gateway.FieldError{Field: "timezone", Problem: fmt.Sprintf("there is no zone %q; want a name such as Europe/Berlin, or UTC", c.Timezone)}
	}
	return nil
}

// zone is that of times of day.
func (c *GatewayConfig) zone() (*time.Location, error) {
	if c.Timezone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.Timezone)
}

// zoneName says for people which zone counts.
func (c *GatewayConfig) zoneName() string {
	if c.Timezone == "" {
		name, _ := time.Now().Zone()
		return "the board (" + name + ")"
	}
	return c.Timezone
}

// where finds the position of the gateway, if it is known now.
func (c *GatewayConfig) where(board *latest.Board) (p rules.Position, known bool) {
	if c.Position == nil {
		return p, false
	}
	if p, known = told(board, gateway.DeviceID(c.Position.Device)); known || c.Position.Latitude == nil {
		return p, known
	}
	return rules.Position{Latitude: *c.Position.Latitude, Longitude: *c.Position.Longitude}, true
}

// told is the position that a device tells.
func told(board *latest.Board, device gateway.DeviceID) (p rules.Position, known bool) {
	latitude, ok1 := board.Get(device, quantityLatitude)
	longitude, ok2 := board.Get(device, quantityLongitude)
	north, ok3 := latitude.Value.Number()
	east, ok4 := longitude.Value.Number()
	known = ok1 && ok2 && ok3 && ok4 && latitude.Quality != gateway.Bad && longitude.Quality != gateway.Bad
	return rules.Position{Latitude: north, Longitude: east}, known && north >= -90 && north <= 90 && east >= -180 && east <= 180
}
