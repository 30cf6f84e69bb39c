package uplink

import "github.com/fieldpost/fieldpost/gateway"

// Purpose is what bytes on the line are for.
type Purpose uint8

// The purposes.
const (
	// ForConnection is what it takes to be connected: handshake, login,
	// subscriptions, presence, and what TLS adds to everything else.
	ForConnection Purpose = iota
	// ForTelemetry is what the lane telemetry and lanes of the user carry.
	ForTelemetry
	// ForRecords is what the lanes alerts, results and gaps carry, and what the
	// gateway reports of itself.
	ForRecords
	// ForCommands is what comes in for the devices and as settings, and what
	// confirms and answers it.
	ForCommands
	// ForKeepAlive is pings and their answers.
	ForKeepAlive
	// ForUploads is files on their way, with all that it takes to send them.
	ForUploads
	purposes = iota
)

// PurposeOf is the purpose of the messages of a lane.
func PurposeOf(lane gateway.Lane) Purpose {
	if lane == gateway.LaneAlerts || lane == gateway.LaneGaps || lane.HoldsResults() {
		return ForRecords
	}
	return ForTelemetry
}

// Traffic is a number of bytes each way, seen from the gateway.
type Traffic struct {
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// Sum is the bytes of both ways.
func (t Traffic) Sum() uint64 { return t.In + t.Out }

func (t Traffic) plus(o Traffic) Traffic { return Traffic{t.In + o.In, t.Out + o.Out} }

// minus never goes below zero.
func (t Traffic) minus(o Traffic) Traffic {
	return Traffic{t.In - min(t.In, o.In), t.Out - min(t.Out, o.Out)}
}

// Usage is bytes on the socket by purpose: the sum is all of them. A PUBACK
// counts for what it confirms. The headers of TCP and IP, which a provider
// counts too, are not in it: they add 40 bytes or more to each packet.
type Usage struct {
	Telemetry  Traffic `json:"telemetry"`
	Records    Traffic `json:"records"`
	Commands   Traffic `json:"commands"`
	KeepAlive  Traffic `json:"keep_alive"`
	Uploads    Traffic `json:"uploads"`
	Connection Traffic `json:"connection"`
}

// Total is the bytes for all purposes.
func (u Usage) Total() Traffic {
	return u.Telemetry.plus(u.Records).plus(u.Commands).plus(u.KeepAlive).plus(u.Uploads).plus(u.Connection)
}

// tally is a count under way: what packets say, by purpose, and what the
// socket has really carried. The difference is for the connection.
type tally struct {
	socket  Traffic
	packets [purposes]Traffic
}

func (t tally) plus(o tally) tally {
	t.socket = t.socket.plus(o.socket)
	for i := range t.packets {
		t.packets[i] = t.packets[i].plus(o.packets[i])
	}
	return t
}

func (t tally) minus(o tally) tally {
	t.socket = t.socket.minus(o.socket)
	for i := range t.packets {
		t.packets[i] = t.packets[i].minus(o.packets[i])
	}
	return t
}

func (t tally) usage() Usage {
	u := Usage{
		Telemetry: t.packets[ForTelemetry], Records: t.packets[ForRecords],
		Commands: t.packets[ForCommands], KeepAlive: t.packets[ForKeepAlive],
		Uploads: t.packets[ForUploads],
	}
	u.Connection = t.socket.minus(u.Total())
	return u
}

// tallyOf is the tally that gives a usage.
func tallyOf(u Usage) tally {
	t := tally{socket: u.Total()}
	t.packets[ForTelemetry], t.packets[ForRecords] = u.Telemetry, u.Records
	t.packets[ForCommands], t.packets[ForKeepAlive] = u.Commands, u.KeepAlive
	t.packets[ForUploads] = u.Uploads
	return t
}
