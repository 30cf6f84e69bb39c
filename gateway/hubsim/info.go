package hubsim

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// Info is what hubsim.json holds: all that clients need. The file is there
// while the hub is ready, and only then; it lists the devices of the start.
type Info struct {
	MQTT  string `json:"mqtt"` // the address that is really bound
	HTTPS string `json:"https"`
	CA    string `json:"ca"` // path of the certificate to trust
	// ServiceConnectionString names no port, since service SDKs take none.
	ServiceConnectionString string       `json:"service_connection_string"`
	Devices                 []DeviceInfo `json:"devices"`
	DPS                     DPSInfo      `json:"dps"`
}

// DeviceInfo is how a device connects.
type DeviceInfo struct {
	ID               string `json:"id"`
	ConnectionString string `json:"connection_string"`
}

// DPSInfo is how a device registers itself with the provisioning service.
type DPSInfo struct {
	Endpoint string `json:"endpoint"`
	IDScope  string `json:"id_scope"`
	GroupKey string `json:"group_key"`
}

// Info says where the hub listens and which devices it has.
func (h *Hub) Info() Info {
	ca, err := filepath.Abs(h.authority.path)
	if err != nil { // the working directory is gone
		ca = h.authority.path
	}
	info := Info{
		MQTT: h.mqtt.Addr().String(), HTTPS: h.https.Addr().String(), CA: ca,
		ServiceConnectionString: fmt.Sprintf("HostName=%s;SharedAccessKeyName=iothubowner;SharedAccessKey=%s", h.options.Host, h.secrets.Policies["iothubowner"]),
		Devices:                 []DeviceInfo{},
		DPS:                     DPSInfo{Endpoint: h.endpoint(), IDScope: h.secrets.IDScope, GroupKey: h.secrets.GroupKey},
	}
	for _, v := range h.state.views() {
		secret := "SharedAccessKey=" + v.Primary
		if v.Auth != authSAS {
			secret = "x509=true"
		}
		info.Devices = append(info.Devices, DeviceInfo{
			ID:               v.ID,
			ConnectionString: fmt.Sprintf("HostName=%s;DeviceId=%s;%s", h.endpoint(), v.ID, secret),
		})
	}
	return info
}

// endpoint is where devices connect: name and port.
func (h *Hub) endpoint() string { return h.nameAndPort(h.mqtt) }

// httpsEndpoint is where devices upload files.
func (h *Hub) httpsEndpoint() string { return h.nameAndPort(h.https) }

func (h *Hub) nameAndPort(l net.Listener) string {
	port := 0
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		port = a.Port
	}
	return net.JoinHostPort(h.options.Host, strconv.Itoa(port))
}

func (h *Hub) infoPath() string { return filepath.Join(h.options.Data, "hubsim.json") }

// writeInfo says that the hub is ready. The file holds keys.
func (h *Hub) writeInfo() error {
	data, err := json.MarshalIndent(h.Info(), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(h.infoPath(), append(data, '\n'), 0o600)
}
