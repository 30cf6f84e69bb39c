package hubsim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// login is the user name of a CONNECT.
type login struct {
	host, device string // a module is DEVICE/MODULE
	// apiVersion is empty if the client has named none: telemetry works, twins
	// do not.
	apiVersion string
	// scope and registration are set instead of host and device by a client of
	// the provisioning service.
	scope, registration string
}

// deviceForm is the alphabet of device ids, from the documentation of the
// identity registry.
var deviceForm = regexp.MustCompile(`^[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}$`)

// parseUserName reads one of
//
//	HOST/DEVICE/?api-version=2021-04-12[&…]
//	HOST/DEVICE/api-version=2016-11-14[&…]
//	HOST/DEVICE
//	HOST/DEVICE/MODULE/?api-version=2021-04-12[&…]
//	SCOPE/registrations/ID/api-version=2019-03-31[&…]
func parseUserName(s string) (login, error) {
	host, rest, ok := strings.Cut(s, "/")
	if !ok || host == "" {
		return login{}, fmt.Errorf("user name %.80q: want HOST/DEVICE/?api-version=…", s)
	}
	device, rest, _ := strings.Cut(rest, "/")
	if device == "registrations" {
		return parseRegistration(host, rest)
	}
	l := login{host: withoutPort(host), device: device}
	if isQuery := strings.HasPrefix(rest, "?") || strings.HasPrefix(rest, "api-version="); rest != "" && !isQuery {
		var module string
		module, rest, _ = strings.Cut(rest, "/")
		l.device += "/" + module
	}
	if !validIdentity(l.device) {
		return login{}, fmt.Errorf("user name %.80q: the device id, and that of a module behind it, must be 1 to 128 letters, digits or -.%%_*?!(),:=@$'", s)
	}
	query := strings.TrimPrefix(rest, "?")
	l.apiVersion = queryValue(query, "api-version")
	return l, nil
}

// validIdentity reports whether id is DEVICE or DEVICE/MODULE.
func validIdentity(id string) bool {
	device, module, has := strings.Cut(id, "/")
	return deviceForm.MatchString(device) && (!has || deviceForm.MatchString(module))
}

func parseRegistration(scope, rest string) (login, error) {
	id, query, _ := strings.Cut(rest, "/")
	if !registrationForm.MatchString(id) {
		return login{}, fmt.Errorf("registration id %.80q: want up to 128 lower-case letters, digits or -._: with a letter, digit or - at the end", id)
	}
	version := queryValue(query, "api-version")
	if version == "" {
		return login{}, errors.New("user name of a registration: api-version is missing")
	}
	return login{scope: scope, registration: id, apiVersion: version}, nil
}

// registrationForm is the alphabet of registration ids. The derivation of keys
// is case-sensitive, so upper case is refused.
var registrationForm = regexp.MustCompile(`^[a-z0-9\-._:]{0,127}[a-z0-9\-]$`)

func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}
