package iothub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// identity is who this device is, and where its hub listens.
type identity struct {
	host   string // of the hub, without port: part of user name and token
	device string
	key    []byte // signs tokens
	// dial is where to connect, "host:port", and serverName the name that the
	// certificate there must carry.
	dial, serverName string
}

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)
	// deviceForm is the alphabet of device ids, from the identity registry's documentation.
	deviceForm = regexp.MustCompile(`^[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}$`)
)

// parseConnectionString reads HostName=…[:port];DeviceId=…;SharedAccessKey=…
// [;GatewayHostName=…[:port]]. Its errors never quote the key.
func parseConnectionString(s string) (identity, error) {
	fields, err := splitConnectionString(s)
	if err != nil {
		return identity{}, err
	}
	id := identity{device: fields["DeviceId"]}
	if !deviceForm.MatchString(id.device) {
		return identity{}, fmt.Errorf("DeviceId %.40q: want 1 to 128 letters, digits or -.%%_*?!(),:=@$'", id.device)
	}
	if id.key, err = base64.StdEncoding.DecodeString(fields["SharedAccessKey"]); err != nil || len(id.key) == 0 {
		return identity{}, errors.New("SharedAccessKey is not base64; copy the whole key, with the = at its end")
	}
	if id.host, id.dial, err = address("HostName", fields["HostName"]); err != nil {
		return identity{}, err
	}
	id.serverName = id.host
	if gatewayHost, ok := fields["GatewayHostName"]; ok {
		id.serverName, id.dial, err = address("GatewayHostName", gatewayHost)
	}
	return id, err
}

func splitConnectionString(s string) (map[string]string, error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(s), ";"), ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "HostName", "DeviceId", "SharedAccessKey", "GatewayHostName":
		case "SharedAccessKeyName":
			return nil, errors.New("this is a connection string of the service (it has SharedAccessKeyName); take that of the device")
		case "ModuleId", "x509":
			return nil, fmt.Errorf("%s is not supported; use a device with a symmetric key", name)
		default: // may hold a part of the key: say nothing of it
			return nil, errors.New("want HostName=…;DeviceId=…;SharedAccessKey=…, perhaps with ;GatewayHostName=…, and nothing else")
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		fields[name] = value
	}
	for _, name := range []string{"HostName", "DeviceId", "SharedAccessKey"} {
		if fields[name] == "" {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return fields, nil
}

const defaultPort = "8883"

// address splits host[:port] into the bare host and what to dial.
func address(field, s string) (host, dial string, err error) {
	host, port, hasPort := strings.Cut(s, ":")
	if !hasPort {
		port = defaultPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || !hostForm.MatchString(host) {
		return "", "", fmt.Errorf("%s %.80q: want a host name, perhaps with :port", field, s)
	}
	return host, net.JoinHostPort(host, port), nil
}
