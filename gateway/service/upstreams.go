package service

import (
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/broker"
	"github.com/fieldpost/fieldpost/gateway/uplink/iothub"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// upstreamKind is one value of upstreams[].type.
type upstreamKind struct {
	config func() any
	open   func(config any, w wiring) (uplink.Upstream, error)
	// proxy is the HTTP proxy to go through; empty: none.
	proxy func(config any) config.Secret
	// children are the devices of the upstream behind the gateway; nil if there
	// are none.
	children func(config any) []child
	// twin reports whether the upstream keeps a twin of the gateway; nil: none.
	twin func(config any) bool
}

// child is a device of the upstream behind the gateway, with a connection of
// its own. What its lane holds leaves as that device.
type child struct {
	lane   gateway.Lane
	config any
}

// wiring is what an upstream is connected to.
type wiring struct {
	gatewayID string
	clock     clock.Clock
	inbox     *command.Inbox
	log       *slog.Logger
	health    *health.Board
	dataDir   string
	twin      iothub.Twin       // of the gateway, if the upstream has twins
	ca        *mqtt.Replacement // of ca_file, if a twin sets it
}

// upstreamKinds is the table of upstreams: one row each.
var upstreamKinds = map[string]upstreamKind{
	"iothub": {
		config: func() any { return &iothub.Config{} },
		open: func(c any, w wiring) (uplink.Upstream, error) {
			return iothub.New(*c.(*iothub.Config), iothub.Parts{
				Clock: w.clock, Inbox: w.inbox, Log: w.log, Health: w.health, DataDir: w.dataDir, Twin: w.twin, CA: w.ca,
			})
		},
		proxy: func(c any) config.Secret { return c.(*iothub.Config).Proxy },
		children: func(c any) (all []child) {
			for _, one := range c.(*iothub.Config).Children() {
				all = append(all, child{one.Lane, &one.Config})
			}
			return all
		},
		twin: func(c any) bool { return c.(*iothub.Config).HasTwin() },
	},
	"mqtt": {
		config: func() any { return &broker.Config{} },
		open: func(c any, w wiring) (uplink.Upstream, error) {
			return broker.New(*c.(*broker.Config), broker.Parts{
				GatewayID: w.gatewayID, Clock: w.clock, Inbox: w.inbox, Log: w.log, Health: w.health, DataDir: w.dataDir,
			})
		},
		proxy: func(c any) config.Secret { return c.(*broker.Config).Proxy },
	},
}

// upstreamSpec is the upstream of the config: the common keys, and the kind
// with its own.
type upstreamSpec struct {
	UpstreamConfig
	kind     upstreamKind
	config   any
	children []child
}

// proxy is the HTTP proxy that the gateway goes through, for what else it fetches; nil:
// none.
func (u upstreamSpec) proxy() *url.URL {
	p, _ := mqtt.ParseProxy(u.kind.proxy(u.config).Reveal()) // its config has told the fault
	if p == nil {
		return nil
	}
	return p.URL()
}

// isChild reports whether a lane is that of a child.
func (l *Loaded) isChild(lane gateway.Lane) bool {
	return slices.ContainsFunc(l.upstream.children, func(c child) bool { return c.lane == lane })
}

func loadUpstream(section *config.Section) (upstreamSpec, error) {
	name, _ := section.Text("type")
	kind, known := upstreamKinds[name]
	if !known {
		names := slices.Sorted(maps.Keys(upstreamKinds))
		return upstreamSpec{}, section.Errorf("type", "%s; want %s", unknown("upstream", name, names), strings.Join(names, ", "))
	}
	spec := upstreamSpec{kind: kind, config: kind.config()}
	err := section.Decode(&spec.UpstreamConfig, spec.config)
	if err == nil && kind.children != nil {
		spec.children = kind.children(spec.config)
	}
	return spec, err
}
