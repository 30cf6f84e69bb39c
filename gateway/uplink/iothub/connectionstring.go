package iothub

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)
	// deviceForm is the alphabet of device ids, from the identity registry's documentation.
	deviceForm = regexp.MustCompile(`^[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}$`)
)

// parseConnectionString reads HostName=…[:port];DeviceId=…;SharedAccessKey=…
// [;GatewayHostName=…[:port]], or with x509=true in the place of the key, which
// then is nil. Its errors never quote the key.
func parseConnectionString(s, port string) (id identity, key sharedKey, err error) {
	fields, err := splitConnectionString(s)
	if err != nil {
		return identity{}, nil, err
	}
	if id, err = newIdentity(fields["HostName"], fields["DeviceId"], port); err != nil {
		return identity{}, nil, err
	}
	if _, certified := fields["x509"]; !certified {
		if key, err = parseKey(fields["SharedAccessKey"]); err != nil {
			return identity{}, nil, fmt.Errorf("SharedAccessKey %w", err)
		}
	}
	if gatewayHost, ok := fields["GatewayHostName"]; ok {
		if id.serverName, id.dial, err = address(gatewayHost, port); err != nil {
			return identity{}, nil, fmt.Errorf("GatewayHostName: %w", err)
		}
	}
	return id, key, nil
}

// newIdentity checks the names of a hub, perhaps with :port, and of a device.
func newIdentity(host, device, port string) (id identity, err error) {
	id.device = device
	if !deviceForm.MatchString(device) {
		return id, fmt.Errorf("device %.40q: want 1 to 128 letters, digits or -.%%_*?!(),:=@$'", device)
	}
	id.host, id.dial, err = address(host, port)
	id.serverName = id.host
	return id, err
}

func splitConnectionString(s string) (map[string]string, error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(s), ";"), ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "HostName", "DeviceId", "SharedAccessKey", "GatewayHostName":
		case "x509":
			if value != "true" {
				return nil, errors.New("x509 is not true; leave it out, or give it that value")
			}
		case "SharedAccessKeyName":
			return nil, errors.New("this is a connection string of the service (it has SharedAccessKeyName); take that of the device")
		case "ModuleId":
			return nil, errors.New("ModuleId is not supported; take the connection string of the device")
		default: // may hold a part of the key: say nothing of it
			return nil, errors.New("want HostName=…;DeviceId=…;SharedAccessKey=… (or x509=true in the place of the key), perhaps with ;GatewayHostName=…, and nothing else")
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		fields[name] = value
	}
	return fields, complete(fields)
}

func complete(fields map[string]string) error {
	proof := "SharedAccessKey"
	if fields["x509"] != "" {
		if fields[proof] != "" {
			return errors.New("it has both SharedAccessKey and x509=true; the device has one of them only")
		}
		proof = "x509"
	}
	for _, name := range []string{"HostName", "DeviceId", proof} {
		if fields[name] == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// address splits host[:port] into the bare host and what to dial.
func address(s, port string) (host, dial string, err error) {
	host, own, hasPort := strings.Cut(s, ":")
	if hasPort {
		port = own
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || !hostForm.MatchString(host) {
		return "", "", fmt.Errorf("host %.80q: want a host name, perhaps with :port", s)
	}
	return host, net.JoinHostPort(host, port), nil
}
