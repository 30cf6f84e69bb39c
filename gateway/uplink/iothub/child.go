package iothub

import (
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// MaxChildren bounds the children of a gateway: each keeps a connection.
const MaxChildren = 16

// ChildConfig is one entry of children: a device of the hub behind this
// gateway, such as a sensor node, with an identity of its own.
type ChildConfig struct {
	Lane string `yaml:"lane" required:"true" doc:"Lane of the child. What devices with this lane read leaves as the child, and what the child is sent is for these devices" example:"node7"`
	SignInConfig
}

// Child is one device of the hub behind the gateway.
type Child struct {
	Lane gateway.Lane
	// Config is that of an upstream of its own.
	Config Config
}

// Children are the devices behind the gateway. They use the same line as the
// gateway itself and sign in for themselves.
func (c Config) Children() []Child {
	var all []Child
	for _, child := range c.ChildList {
		own := c
		own.SignInConfig, own.ChildList = child.SignInConfig, nil
		all = append(all, Child{gateway.Lane(child.Lane), own})
	}
	return all
}

// Validate names every field at fault.
func (c ChildConfig) Validate() error {
	var f faults
	c.signIn(Config{}.port(), &f)
	switch lane := gateway.Lane(c.Lane); {
	case !gateway.ValidLane(c.Lane) || !gateway.ValidLane(string(lane.Results())):
		f.add("lane", "%.40q is not allowed; want a lower-case letter, then up to 22 of a-z, 0-9 and _", c.Lane)
	case lane.BuiltIn():
		f.add("lane", "%s is the gateway's own; want one of the child's", lane)
	}
	return errors.Join(f...)
}

// checkChildren looks for children that get into each other's way.
func (c Config) checkChildren(f *faults) {
	if n := len(c.ChildList); n > MaxChildren {
		f.add("children", "are %d, want %d at most: each keeps a connection", n, MaxChildren)
	}
	lanes := map[gateway.Lane]bool{}
	names := map[string]string{c.signIn(new(faults)).name(): "the gateway itself"}
	for i, child := range c.ChildList {
		if child.Validate() != nil {
			continue // its own section tells
		}
		field, lane := fmt.Sprintf("children[%d]", i), gateway.Lane(child.Lane)
		if lanes[lane] || lanes[lane.Results()] {
			f.add(field+".lane", "%s is another child's already", lane)
		}
		lanes[lane], lanes[lane.Results()] = true, true
		who := child.signIn(c.port(), new(faults)).name()
		if other, taken := names[who]; taken {
			f.add(field, "has the identity of %s too; a hub keeps one connection for each", other)
		}
		names[who] = "the child with lane " + child.Lane
	}
}
