package service

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/rules"
	"github.com/fieldpost/fieldpost/gateway/scene"
	"github.com/fieldpost/fieldpost/storeforward"
)

// Config is the whole config file. What differs by driver or upstream stays a
// section here and is decoded by the part that it belongs to.
type Config struct {
	Gateway   GatewayConfig             `yaml:"gateway" doc:"The gateway itself."`
	Upstreams []config.Section          `yaml:"upstreams" variants:"upstreams" required:"true" doc:"Where messages go and commands come from. Exactly one for now."`
	Queue     QueueConfig               `yaml:"queue" doc:"The durable queue between the devices and the upstream."`
	Batch     BatchConfig               `yaml:"batch" doc:"How readings are packed into messages."`
	Commands  CommandsConfig            `yaml:"commands" doc:"How commands are carried out."`
	Settings  SettingsConfig            `yaml:"settings" doc:"Settings that the hub may change, by the desired properties of the device twin."`
	Uploads   UploadsConfig             `yaml:"uploads" doc:"Files on their way to the hub."`
	Metrics   MetricsConfig             `yaml:"metrics" doc:"Numbers for Prometheus, beside those at the socket."`
	Buses     map[string]config.Section `yaml:"buses" variants:"buses" doc:"What devices are wired to and that needs to be told apart or set up, by name. An I2C bus i2c-N with nothing to set needs no entry."`
	Rules     []rules.Rule              `yaml:"rules" doc:"What the board does by itself: commands and alerts, by conditions and by the time of day."`
	Devices   []config.Section          `yaml:"devices" variants:"devices" required:"true" doc:"The sensors and actuators."`

	scene.Config
}

// GatewayConfig is the section gateway.
type GatewayConfig struct {
	ID       string          `yaml:"id" doc:"Name of this gateway in topics and logs; the host name if left out." pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" want:"up to 63 letters, digits, dots, underscores and hyphens" example:"greenhouse-7"`
	DataDir  string          `yaml:"data_dir" doc:"Directory of the queue; everything durable is here." default:"/var/lib/fieldpost"`
	Socket   string          `yaml:"socket" doc:"Unix socket of the command line tools." default:"/run/fieldpost/fieldpost.sock"`
	Timezone string          `yaml:"timezone" doc:"Zone of the times of day in rules, by its name in the IANA database. Left out: that of the board." example:"Europe/Berlin"`
	Position *PositionConfig `yaml:"position" doc:"Where the gateway is, for what the sun does there."`
	Log      string          `yaml:"log" doc:"Least level of what is logged." default:"info" oneof:"debug|info|warn|error"`
}

// QueueConfig is the section queue.
type QueueConfig struct {
	MaxBytes config.Bytes                `yaml:"max_bytes" doc:"The queue never takes more of the disk than this." default:"512MB" min:"32MB"`
	MinFree  config.Bytes                `yaml:"min_free" doc:"The queue leaves this much of the file system free, and refuses messages rather than take it." default:"200MB" min:"64MB"`
	Commit   CommitConfig                `yaml:"commit" doc:"How many messages share one sync to disk."`
	Lanes    map[string]QueueLanesConfig `yaml:"lanes" doc:"Policies by lane. telemetry, alerts and results always exist; others are made by naming them."`
	Journal  int                         `yaml:"journal" doc:"How many finished commands are remembered, so that a repeated one is answered, not executed again." default:"4096" min:"16" max:"100000"`
	Age      time.Duration               `yaml:"journal_age" doc:"How long finished commands are remembered at most." default:"30d" min:"1h" max:"3650d"`
	Key      config.Secret               `yaml:"encryption_key" doc:"Encrypts what messages and commands say on the card: at least 16 random bytes, from a file or a systemd credential. A queue keeps needing the key that it was written with." example:"${credential:queue-key}"`
	Card     config.Bytes                `yaml:"card_endurance" doc:"How much the card can take in its life (TBW in its data sheet), for the estimate of the years that it lasts." min:"1GB" example:"10TB"`
}

// CommitConfig is the section queue.commit.
type CommitConfig struct {
	MaxAge      time.Duration `yaml:"max_age" doc:"Readings wait at most this long for others to share a sync to disk with; a power cut loses no more than this and batch.max_age." default:"1s" min:"0s" max:"1m"`
	MaxMessages int           `yaml:"max_messages" doc:"So many messages are synced without further waiting." default:"256" min:"1" max:"10000"`
}

// QueueLanesConfig is one entry of queue.lanes.
type QueueLanesConfig struct {
	Overflow    string        `yaml:"overflow" doc:"What a full lane does: give up its oldest messages (a gap record says which), refuse new ones, or make the devices wait." oneof:"drop-oldest|drop-newest|block"`
	Priority    string        `yaml:"priority" doc:"Lanes with high priority get four fifths of the link while they have messages." oneof:"high|normal"`
	TTL         time.Duration `yaml:"ttl" doc:"Messages older than this are given up; a gap record says which. Left out: never." min:"1m" example:"30d"`
	MaxBytes    config.Bytes  `yaml:"max_bytes" doc:"Bound of this lane alone. Left out: only that of the queue." min:"8MB"`
	MaxMessages int           `yaml:"max_messages" doc:"Bound of this lane in messages. Left out: none." min:"1" example:"100000"`
	Backfill    string        `yaml:"backfill" doc:"Order after an outage: weave sends, for each message of the backlog, up to three that are new; order sends strictly in the order of acceptance. Left out: weave for telemetry, order for alerts and results." oneof:"weave|order"`
}

// BatchConfig is the section batch.
type BatchConfig struct {
	MaxAge   time.Duration `yaml:"max_age" doc:"A message is closed when its first reading is this old." default:"10s" min:"10ms" max:"1h"`
	MaxBytes config.Bytes  `yaml:"max_bytes" doc:"A message is closed before its body grows beyond this; IoT Hub meters by 4 kB." default:"3800" min:"256" max:"200kB"`
}

// CommandsConfig is the section commands.
type CommandsConfig struct {
	Timeout    time.Duration `yaml:"timeout" doc:"A device has this long to carry an action out, unless the action says otherwise." default:"10s" min:"100ms" max:"10m"`
	MaxWaiting int           `yaml:"max_waiting" doc:"How many commands may wait on this board, in all; one device gets half of it. More are left with the hub until some have been carried out." default:"10000" min:"16" max:"100000"`
	ClockWait  time.Duration `yaml:"clock_wait" doc:"So long after the start, a command that expires waits for a clock that can be trusted; later it is denied." default:"5m" min:"1s" max:"1h"`
}

// SettingsConfig is the section settings.
type SettingsConfig struct {
	Probation time.Duration `yaml:"probation" doc:"So long after it came into force, a change of settings must have left the gateway connected and sound; it is taken back otherwise." default:"5m" min:"1m" max:"24h"`
}

// UpstreamConfig are the keys that every upstream has.
type UpstreamConfig struct {
	Type     string          `yaml:"type" doc:"Kind of upstream." required:"true" oneof:"iothub|mqtt"`
	MaxRate  config.Rate     `yaml:"max_rate" doc:"Most bytes per second that leave, TLS included. Telemetry waits for its share; what else there is to send goes at once and makes telemetry wait longer. Left out: no bound." min:"500B/s" example:"64kB/s"`
	DataPlan *DataPlanConfig `yaml:"data_plan" doc:"What the contract for the line allows in a month. Left out: no limit."`
}

// DataPlanConfig is the section upstreams[].data_plan.
type DataPlanConfig struct {
	Monthly    config.Bytes   `yaml:"monthly" doc:"Bytes that may pass in a month, both ways together. Once they have, telemetry waits in the queue for the next month; alerts, results and gap records are still sent." required:"true" min:"1MB" example:"100MB"`
	ResetsOn   int            `yaml:"resets_on" doc:"Day on which a month of the contract begins, at 0:00 UTC." default:"1" min:"1" max:"28"`
	ThinAt     config.Percent `yaml:"thin_at" doc:"Share of monthly from which on numeric readings are thinned: mean, min, max and count per window take the place of the samples. 100%: never." default:"80%" min:"1%" max:"100%"`
	ThinWindow time.Duration  `yaml:"thin_window" doc:"Time that one thinned reading stands for; the samples of a window are lost in a power cut." default:"10m" min:"10s" max:"24h"`
}

// BusConfig are the keys that every bus has.
type BusConfig struct {
	Type string `yaml:"type" doc:"Kind of bus." required:"true"`
}

// DeviceConfig are the keys that every device has.
type DeviceConfig struct {
	ID      string        `yaml:"id" doc:"Name of the device, unique on this gateway." required:"true" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" want:"up to 63 letters, digits, dots, underscores and hyphens" example:"air"`
	Driver  string        `yaml:"driver" doc:"What kind of device it is." required:"true"`
	Every   time.Duration `yaml:"every" doc:"How often a polled device is read." default:"10s" min:"100ms" max:"24h"`
	Timeout time.Duration `yaml:"timeout" doc:"A reading that takes longer is given up and the device reported." default:"5s" min:"10ms" max:"5m"`
	Lane    string        `yaml:"lane" doc:"Lane of the queue that its readings go to." default:"telemetry"`

	pipeline.Processing
	policy.Terms
}

// Validate checks what no tag can say.
func (c *DeviceConfig) Validate() error {
	return errors.Join(c.Processing.Validate(), c.Terms.Validate())
}

// Validate checks what no tag can say.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Upstreams) != 1 {
		errs = append(errs, &gateway.FieldError{Field: "upstreams", Problem: fmt.Sprintf("%d are given; want exactly one", len(c.Upstreams))})
	}
	for name, lane := range c.Queue.Lanes {
		field := "queue.lanes." + name
		switch {
		case name == string(gateway.LaneGaps) || name == string(gateway.LaneDeadLetter):
			errs = append(errs, &gateway.FieldError{Field: field, Problem: "this lane is the gateway's own and cannot be changed"})
		case name != string(gateway.LaneResults) && gateway.Lane(name).HoldsResults():
			errs = append(errs, &gateway.FieldError{Field: field, Problem: "names that end in _results are kept for children of the gateway, whose results are sent in order and never dropped"})
		case !gateway.ValidLane(name):
			errs = append(errs, &gateway.FieldError{Field: field, Problem: "want a lower-case letter, then up to 30 of a-z, 0-9 and _"})
		}
		if lane.MaxBytes > c.Queue.MaxBytes {
			errs = append(errs, &gateway.FieldError{Field: field + ".max_bytes", Problem: "want at most queue.max_bytes"})
		}
	}
	if key := c.Queue.Key.Reveal(); key != "" && len(key) < storeforward.MinKeyBytes {
		errs = append(errs, &gateway.FieldError{Field: "queue.encryption_key", Problem: fmt.Sprintf("has %d bytes; want at least %d random ones", len(key), storeforward.MinKeyBytes)})
	}
	return errors.Join(errs...)
}

// id is the gateway's name.
func (c *GatewayConfig) id() (string, error) {
	if c.ID != "" {
		return c.ID, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("gateway.id is not set and the host has no name: %w", err)
	}
	return strings.ToLower(host), nil
}

// storeOptions puts the sections of the queue into the store's terms. What is
// for a child leaves by an outlet with the name of its lane.
func (l *Loaded) storeOptions() storeforward.Options {
	o := storeforward.Defaults(l.Gateway.DataDir + "/queue")
	o.MaxBytes = int64(l.Queue.MaxBytes)
	o.MinFree = int64(l.Queue.MinFree)
	o.CommitAge = l.Queue.Commit.MaxAge
	o.CommitMessages = l.Queue.Commit.MaxMessages
	o.JournalEntries = l.Queue.Journal
	o.JournalAge = l.Queue.Age
	o.Key = []byte(l.Queue.Key.Reveal())
	o.CardBytes = int64(l.Queue.Card)
	o.Lanes = make(map[gateway.Lane]storeforward.LaneOptions)
	for name, lane := range l.Queue.Lanes {
		o.Lanes[gateway.Lane(name)] = storeforward.LaneOptions{
			Priority:    storeforward.Priority(lane.Priority),
			Overflow:    storeforward.Overflow(lane.Overflow),
			TTL:         lane.TTL,
			MaxBytes:    int64(lane.MaxBytes),
			MaxMessages: int64(lane.MaxMessages),
			Backfill:    storeforward.Backfill(lane.Backfill),
		}
	}
	for _, child := range l.upstream.children {
		own := o.Lanes[child.lane]
		own.Outlet = string(child.lane)
		o.Lanes[child.lane] = own
		o.Lanes[child.lane.Results()] = storeforward.LaneOptions{
			Priority: storeforward.PriorityHigh, Overflow: storeforward.Block,
			Backfill: storeforward.BackfillOrder, Outlet: string(child.lane),
		}
	}
	return o
}
