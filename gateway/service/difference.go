package service

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// difference is what another config changes of an assembly.
type difference struct {
	// kept are the devices that stay at work, with what the other config says of them.
	kept map[gateway.DeviceID]*device
	// left are those that are no more, or are to be opened anew.
	left []*device
	// control is true if commands have to wait for the change.
	control bool
	// link is true if the connection to the upstream is to be made anew.
	link bool

	Reloaded
}

// compare finds the difference. It is an error if that takes a restart.
func (a *assembly) compare(next *Loaded, buses *bus.Set) (difference, error) {
	if fixed := a.config.fixed(next); len(fixed) > 0 {
		return difference{}, fmt.Errorf("nothing of the new config is in force, since it changes %s, which takes a restart: systemctl restart fieldpost", strings.Join(fixed, ", ")) //nolint:err113 // for people
	}
	d := difference{kept: make(map[gateway.DeviceID]*device)}
	at := make(map[gateway.DeviceID]*device)
	for _, one := range a.devices {
		at[one.id] = one
	}
	for _, spec := range next.devices {
		id := gateway.DeviceID(spec.ID)
		if _, err := pipeline.NewChain(spec.Processing); err != nil {
			return difference{}, fmt.Errorf("device %s: %w", id, err)
		}
		before := at[id]
		switch {
		case before == nil:
			d.Added = append(d.Added, id)
		case !spec.continues(before.spec, next.buses, buses):
			d.Reopened, d.left = append(d.Reopened, id), append(d.left, before)
		default:
			d.keep(before, spec)
		}
		delete(at, id)
	}
	for _, id := range slices.Sorted(maps.Keys(at)) {
		d.Removed, d.left = append(d.Removed, id), append(d.left, at[id])
	}
	d.control = len(d.left)+len(d.Added)+len(d.Tuned) > 0 || !sameControl(a.config, next) || !reflect.DeepEqual(a.config.buses, next.buses)
	d.link = !sameLink(a.config.upstream, next.upstream)
	d.Upstream = d.link
	d.Metrics = a.config.Metrics != next.Metrics
	return d, nil
}

// keep goes on with a device as another config describes it.
func (d *difference) keep(before *device, spec deviceSpec) {
	if !reflect.DeepEqual(before.spec.DeviceConfig, spec.DeviceConfig) {
		d.Tuned = append(d.Tuned, before.id)
	}
	same := *before
	same.spec = spec
	if !reflect.DeepEqual(before.spec.Terms, spec.Terms) {
		same.narrow()
	}
	d.kept[same.id] = &same
}

// continues tells whether a device can stay at work: what it is wired to, and what is
// set up when it is opened, are the same. What is done with its readings may differ.
func (s *deviceSpec) continues(before deviceSpec, next map[string]any, buses *bus.Set) bool {
	if s.Driver != before.Driver || s.Lane != before.Lane || s.Timeout != before.Timeout || !reflect.DeepEqual(s.config, before.config) {
		return false
	}
	placed, ok := s.config.(bus.Placed)
	return !ok || !slices.ContainsFunc(placed.Places(), func(p bus.Place) bool { return p.Bus != "" && !buses.Stays(p.Bus, next) })
}

// sameControl tells whether what decides about commands, and carries them out, is the
// same as far as it does not depend on single devices.
func sameControl(a, b *Loaded) bool {
	return reflect.DeepEqual(a.Commands, b.Commands) && reflect.DeepEqual(a.Config.Config, b.Config.Config) &&
		reflect.DeepEqual(a.Rules, b.Rules) && a.Gateway.Timezone == b.Gateway.Timezone && reflect.DeepEqual(a.Gateway.Position, b.Gateway.Position)
}

// sameLink tells whether the connection to the upstream can stay.
func sameLink(a, b upstreamSpec) bool {
	return reflect.DeepEqual(a.UpstreamConfig, b.UpstreamConfig) && reflect.DeepEqual(a.config, b.config) && reflect.DeepEqual(a.children, b.children)
}

// fixed names what differs and lasts for as long as the process does.
func (l *Loaded) fixed(next *Loaded) (fields []string) {
	note := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			fields = append(fields, name)
		}
	}
	note("gateway.id", l.Gateway.ID, next.Gateway.ID)
	note("gateway.data_dir", l.Gateway.DataDir, next.Gateway.DataDir)
	note("gateway.socket", l.Gateway.Socket, next.Gateway.Socket)
	queue, other := reflect.ValueOf(l.Queue), reflect.ValueOf(next.Queue)
	for i := range queue.NumField() {
		note("queue."+queue.Type().Field(i).Tag.Get("yaml"), queue.Field(i).Interface(), other.Field(i).Interface())
	}
	note("upstreams[0].type", l.upstream.Type, next.upstream.Type)
	note("whether the hub can set anything (upstreams[0].tier)", l.takesSettings(), next.takesSettings())
	note("the lanes of children (upstreams[0].children)", l.childLanes(), next.childLanes())
	return fields
}

func (l *Loaded) childLanes() (lanes []gateway.Lane) {
	for _, c := range l.upstream.children {
		lanes = append(lanes, c.lane)
	}
	slices.Sort(lanes)
	return lanes
}
