package service

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/broker"
	"github.com/fieldpost/fieldpost/gateway/uplink/iothub"
)

// upstreamKind is one value of upstreams[].type.
type upstreamKind struct {
	config func() any
	open   func(config any, w wiring) (uplink.Upstream, error)
}

// wiring is what an upstream is connected to.
type wiring struct {
	gatewayID string
	clock     clock.Clock
	inbox     *command.Inbox
	log       *slog.Logger
	health    *health.Board
	dataDir   string
}

// upstreamKinds is the table of upstreams: one row each.
var upstreamKinds = map[string]upstreamKind{
	"iothub": {
		config: func() any { return &iothub.Config{} },
		open: func(c any, w wiring) (uplink.Upstream, error) {
			return iothub.New(*c.(*iothub.Config), iothub.Parts{
				Clock: w.clock, Inbox: w.inbox, Log: w.log, Health: w.health, DataDir: w.dataDir,
			})
		},
	},
	"mqtt": {
		config: func() any { return &broker.Config{} },
		open: func(c any, w wiring) (uplink.Upstream, error) {
			return broker.New(*c.(*broker.Config), w.gatewayID, w.clock, w.inbox, w.log)
		},
	},
}

// upstreamSpec is the upstream of the config: the common keys, and the kind
// with its own.
type upstreamSpec struct {
	UpstreamConfig
	kind   upstreamKind
	config any
}

func loadUpstream(section *config.Section) (upstreamSpec, error) {
	name, _ := section.Text("type")
	kind, known := upstreamKinds[name]
	if !known {
		names := slices.Sorted(maps.Keys(upstreamKinds))
		return upstreamSpec{}, section.Errorf("type", "%s; want %s", unknown("upstream", name), strings.Join(names, ", "))
	}
	spec := upstreamSpec{kind: kind, config: kind.config()}
	err := section.Decode(&spec.UpstreamConfig, spec.config)
	return spec, err
}
