package iothub

import (
	"cmp"

	"github.com/fieldpost/fieldpost/gateway/config"
)

// SignInConfig are the keys that say who this board is, and to which hub it
// belongs. Either the connection string says it all, or host and device_id say
// where to, and a key or a certificate proves it.
type SignInConfig struct {
	ConnectionString config.Secret `yaml:"connection_string" doc:"Device connection string of the hub: HostName=…;DeviceId=…;SharedAccessKey=…, or with x509=true in the place of the key" example:"${file:/etc/fieldpost/secrets/hub}"`
	Host             string        `yaml:"host" doc:"Name of the hub, in the place of connection_string" example:"greenhouses.azure-devices.net"`
	DeviceID         string        `yaml:"device_id" doc:"Name of this board in the hub, with host" example:"greenhouse-7"`
	Key              config.Secret `yaml:"key" doc:"Key of this board, base64" example:"${credential:hub-key}"`
	CertificateFile  string        `yaml:"certificate_file" doc:"PEM file with the certificate of this board, in the place of a key; it is read at each connection, so that a new file is all that a renewal takes" example:"/etc/fieldpost/device.pem"`
	KeyFile          string        `yaml:"key_file" doc:"PEM file with the private key of certificate_file" example:"/etc/fieldpost/secrets/device.key"`

	Provisioning *ProvisioningConfig `yaml:"provisioning" doc:"The device provisioning service (DPS), which says which hub this board belongs to, in the place of connection_string or host and device_id. Proof is key (of an individual enrolment), certificate_file, or group_key"`
}

// ProvisioningConfig is the section provisioning.
type ProvisioningConfig struct {
	IDScope        string        `yaml:"id_scope" doc:"ID scope of the provisioning service" required:"true" pattern:"^[A-Za-z0-9]{1,64}$" want:"the ID scope that the portal shows, such as 0ne00112233" example:"0ne00112233"`
	RegistrationID string        `yaml:"registration_id" doc:"Name of this board at the service; for a certificate its common name" required:"true" pattern:"^[a-z0-9._:-]{0,127}[a-z0-9-]$" want:"up to 128 lower-case letters, digits and -._: with a letter, digit or - at the end" example:"greenhouse-7"`
	GroupKey       config.Secret `yaml:"group_key" doc:"Key of an enrolment group, from which that of this board is derived. Who has it can be any board of the group: better derive the key elsewhere and give the board its own in key" example:"${credential:dps-group}"`
	Endpoint       string        `yaml:"endpoint" doc:"Where the service listens, perhaps with :port" default:"global.azure-devices-provisioning.net"`
}

// signIn makes of the keys what they say, and notes what is wrong with them. The
// port is where hubs listen that name none.
func (c SignInConfig) signIn(port string, f *faults) signIn {
	if c.Provisioning != nil {
		p, proof := c.provisioned(port, f)
		return signIn{p, proof}
	}
	if c.ConnectionString == "" {
		return signIn{c.named(port, f), c.credential(f)}
	}
	if c.Host != "" || c.DeviceID != "" {
		f.add("connection_string", "says host and device_id too; want it alone, or these without it")
	}
	id, key, err := parseConnectionString(c.ConnectionString.Reveal(), port)
	switch {
	case err != nil:
		f.add("connection_string", "%v", err)
	case key == nil && c.Key != "":
		f.add("key", "stands beside a connection_string with x509=true; want certificate_file and key_file")
	case key == nil:
		return signIn{id, c.credential(f)}
	case c.Key != "" || c.certified():
		f.add("connection_string", "holds the key; want no key and no certificate beside it")
	}
	return signIn{id, key}
}

// named is the device of a hub that host and device_id say.
func (c SignInConfig) named(port string, f *faults) identity {
	if c.Host == "" && c.DeviceID == "" {
		f.add("connection_string", "is missing; want it, or host and device_id, or provisioning")
		return identity{}
	}
	id, err := newIdentity(c.Host, c.DeviceID, port)
	if err != nil {
		f.add("device_id", "with host: %v", err)
	}
	return id
}

// provisioned is the way of a board that asks the provisioning service.
func (c SignInConfig) provisioned(port string, f *faults) (*provisioned, credential) {
	if c.ConnectionString != "" || c.Host != "" || c.DeviceID != "" {
		f.add("provisioning", "stands beside a hub; want it, or connection_string, or host and device_id")
	}
	p := &provisioned{
		scope: c.Provisioning.IDScope, registration: c.Provisioning.RegistrationID, port: port,
	}
	var err error
	endpoint := cmp.Or(c.Provisioning.Endpoint, "global.azure-devices-provisioning.net")
	if p.service.serverName, p.service.dial, err = address(endpoint, port); err != nil {
		f.add("provisioning.endpoint", "%v", err)
	}
	if c.Provisioning.GroupKey == "" {
		return p, c.credential(f)
	}
	if c.Key != "" || c.certified() {
		f.add("provisioning.group_key", "stands beside a key or a certificate; want one of them only")
	}
	key, err := parseKey(c.Provisioning.GroupKey.Reveal())
	if err != nil {
		f.add("provisioning.group_key", "%v", err)
	}
	return p, key.derive(p.registration)
}

func (c SignInConfig) certified() bool { return c.CertificateFile != "" || c.KeyFile != "" }

// credential is the key, or the certificate, beside host and device_id.
func (c SignInConfig) credential(f *faults) credential {
	switch {
	case c.Key != "" && c.certified():
		f.add("key", "stands beside a certificate; want one of them only")
	case c.Key != "":
		key, err := parseKey(c.Key.Reveal())
		if err != nil {
			f.add("key", "%v", err)
		}
		return key
	case c.certified() && c.CertificateFile == "":
		f.add("certificate_file", "is missing beside key_file")
	case c.certified() && c.KeyFile == "":
		f.add("key_file", "is missing beside certificate_file")
	case c.certified():
		return certificate{file: c.CertificateFile, keyFile: c.KeyFile}
	case c.ConnectionString != "":
		f.add("certificate_file", "is missing: connection_string says x509=true")
	case c.Provisioning != nil:
		f.add("key", "is missing; want it, or certificate_file and key_file, or provisioning.group_key")
	case c.Host != "" || c.DeviceID != "":
		f.add("key", "is missing; want it, or certificate_file and key_file")
	}
	return sharedKey(nil)
}
