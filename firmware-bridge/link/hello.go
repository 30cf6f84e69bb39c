package link

// Role is what of the microcontroller speaks.
type Role uint8

// The roles.
const (
	Application Role = 1
	Loader      Role = 2
)

func (r Role) String() string {
	switch r {
	case Application:
		return "application"
	case Loader:
		return "loader"
	default:
		return "unknown role"
	}
}

// Cause is why the microcontroller was reset last.
type Cause uint8

// PowerOn is the only cause that no firmware can be blamed for.
const PowerOn Cause = 1

var causeNames = [...]string{"unknown", "power on", "reset pin", "brown-out", "watchdog", "software"}

func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return causeNames[0]
}

// Features are what the microcontroller can do, a bit each.
type Features uint8

// The features.
const (
	CanUpdate  Features = 1 << iota // takes BEGIN to RUN
	HasLoader                       // takes LOADER
	CanConfirm                      // takes CONFIRM
	ChecksHash                      // FINISH checks the SHA-256, else the CRC alone
	HasSlots                        // room for two images
)

// ImageState is what the microcontroller knows of its image.
type ImageState uint8

// The states of an image.
const (
	NoImage   ImageState = iota // none that is good
	OnTrial                     // to be confirmed
	Confirmed                   // started at each reset
	NoUpdate                    // there is no update here
)

var imageStates = [...]string{"none", "on trial", "confirmed", "no update"}

func (s ImageState) String() string {
	if int(s) < len(imageStates) {
		return imageStates[s]
	}
	return "unknown"
}

// Hello is what a microcontroller says of itself as a session begins.
type Hello struct {
	Lowest, Highest uint8 // versions that it speaks
	Role            Role
	Cause           Cause
	Features        Features
	Image           ImageState
	// MaxPayload and Window are bytes; Timeout and Uptime are ms.
	MaxPayload, Window, Timeout uint16
	// Last is the session before this one; 0: none since the reset.
	Last   uint16
	Uptime uint32
	// Next is the number of the first reading that was not yet acknowledged.
	Next uint32
	// DescriptorLength is 0 if there is no descriptor.
	DescriptorLength uint16
	DescriptorHash   uint32
	// Target is the kind of hardware that images must be for.
	Target uint16
}

const (
	helloSize    = 30
	leastTimeout = 500 // ms
	mostTimeout  = 60000
)

// Append appends the payload of a microcontroller's HELLO.
func (h Hello) Append(dst []byte) []byte {
	dst = append(dst, h.Lowest, byte(h.Role), byte(h.Cause), byte(h.Features), byte(h.Image), 0)
	for _, x := range [...]uint16{h.MaxPayload, h.Window, h.Timeout, h.Last} {
		dst = le.AppendUint16(dst, x)
	}
	dst = le.AppendUint32(dst, h.Uptime)
	dst = le.AppendUint32(dst, h.Next)
	dst = le.AppendUint16(dst, h.DescriptorLength)
	dst = le.AppendUint32(dst, h.DescriptorHash)
	return le.AppendUint16(dst, h.Target)
}

// Greeting is what a microcontroller says of itself in a frame; false if that is no
// HELLO of one.
func Greeting(f Frame) (Hello, bool) {
	if f.Type != TypeHello.Answer() {
		return Hello{}, false
	}
	return decodeHello(f)
}

// decodeHello says false of a HELLO that breaks the limits of the link.
func decodeHello(f Frame) (Hello, bool) {
	p := f.Payload
	if len(p) < helloSize {
		return Hello{}, false
	}
	h := Hello{
		Lowest: p[0], Highest: f.Version,
		Role: Role(p[1]), Cause: Cause(p[2]), Features: Features(p[3]), Image: ImageState(p[4]),
		MaxPayload: le.Uint16(p[6:]), Window: le.Uint16(p[8:]), Timeout: le.Uint16(p[10:]), Last: le.Uint16(p[12:]),
		Uptime: le.Uint32(p[14:]), Next: le.Uint32(p[18:]),
		DescriptorLength: le.Uint16(p[22:]), DescriptorHash: le.Uint32(p[24:]), Target: le.Uint16(p[28:]),
	}
	return h, (h.Role == Application || h.Role == Loader) && h.MaxPayload >= leastPayload &&
		h.Timeout >= leastTimeout && h.Timeout <= mostTimeout && h.DescriptorLength <= mostDescriptor
}

// greeting is the payload of the gateway's HELLO.
func greeting(stay bool) []byte {
	flags := byte(0)
	if stay {
		flags = 1
	}
	return le.AppendUint16([]byte{version, flags}, ourPayload)
}
