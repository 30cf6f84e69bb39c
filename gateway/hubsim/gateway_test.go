package hubsim

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/iothub"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// The client of the gateway must get on with this hub as with the real one.

func TestUplinkSuite(t *testing.T) {
	uplinktest.Run(t, func(t *testing.T) uplinktest.Broker { return &suiteBroker{rig: startRig(t)} })
}

func TestUplinkSuiteInWebSocket(t *testing.T) {
	uplinktest.Run(t, func(t *testing.T) uplinktest.Broker { return &suiteBroker{rig: startRig(t), transport: "websocket"} })
}

// suiteBroker is the hub as the suite of the uplink wants it.
type suiteBroker struct {
	*rig
	transport string
}

func (b *suiteBroker) Upstream() uplink.Upstream { return b.upstreamBy(b.transport, nil) }
func (b *suiteBroker) TooLarge() int             { return iothub.MaxMessageBytes }
func (b *suiteBroker) SendPubacks()              { b.faults.clear() }

func (b *suiteBroker) WithholdAfter(n int) {
	b.faults.add(fault{Kind: faultDropPuback, After: n, Count: 1_000_000})
}

func (b *suiteBroker) Refuse(refuse bool) {
	b.faults.clear()
	if refuse {
		b.faults.add(fault{Kind: faultRefuse, Code: 5, Count: 1_000_000})
	}
}

func (b *suiteBroker) Cut() {
	if c, _ := b.state.connection("d1"); c != nil {
		c.stop("cut by the test")
	}
}

func (b *suiteBroker) Arrived() (ids []string) {
	for _, e := range b.events("") {
		ids = append(ids, e.System["message-id"])
	}
	return ids
}

func (r *rig) upstream(inbox iothub.Inbox) *iothub.Upstream { return r.upstreamBy("mqtt", inbox) }

// upstreamBy is the client over a transport of its choice, as device d1.
func (r *rig) upstreamBy(transport string, inbox iothub.Inbox) *iothub.Upstream {
	r.t.Helper()
	device := r.Info().Devices[0].ConnectionString
	if transport == "websocket" {
		mqtt, https := port(r.Info().MQTT), port(r.Info().HTTPS)
		device = strings.Replace(device, ":"+mqtt, ":"+https, 1)
	}
	u, err := iothub.New(iothub.Config{
		SignInConfig: iothub.SignInConfig{ConnectionString: config.Secret(device)},
		CAFile:       r.Info().CA, Transport: transport, KeepAlive: time.Minute, TokenTTL: time.Hour, InFlight: 8,
		Tier: "standard", MethodTimeout: 20 * time.Second,
	}, iothub.Parts{Clock: clock.NewSystem(time.Time{}), Inbox: inbox})
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// inbox hands on what the gateway has understood.
type inbox struct {
	commands chan gateway.Command
	refused  chan string
}

func (i *inbox) Accept(_ context.Context, c gateway.Command) error {
	i.commands <- c
	return nil
}

func (i *inbox) Refuse(_ context.Context, cmd gateway.Command, _ []byte, _ string) error {
	i.refused <- cmd.ID
	return nil
}

func (i *inbox) Call(_ context.Context, c gateway.Command) (func(context.Context) (gateway.Result, error), error) {
	i.commands <- c
	return func(context.Context) (gateway.Result, error) {
		return gateway.Result{CommandID: c.ID, Device: c.Device, Action: c.Action, Status: gateway.StatusDone}, nil
	}, nil
}

func TestGatewayTakesCommands(t *testing.T) {
	r := startRig(t)
	i := &inbox{commands: make(chan gateway.Command, 10), refused: make(chan string, 10)}
	s, err := r.upstream(i).Connect(t.Context())
	if err != nil {
		t.Fatalf("%v; log:\n%s", err, r.log)
	}
	defer s.Close(context.Background())
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	r.command("d1", "c1", `{"device":"pump","action":"set","args":{"on":true}}`, "iothub-expiry", expiry.Format(time.RFC3339))
	c := await(t, i.commands)
	if c.ID != "c1" || c.Device != "pump" || c.Action != "set" || c.Args["on"] != true || !c.Expires.Equal(expiry) {
		t.Errorf("got %+v", c)
	}
	r.command("d1", "c2", "nonsense")
	if id := await(t, i.refused); id != "c2" {
		t.Errorf("refused %s", id)
	}
	eventually(t, "both are acknowledged", func() bool {
		states := r.states("d1")
		return states["c1"] == stateCompleted && states["c2"] == stateCompleted
	})
}

func TestGatewayMessagesAreAudited(t *testing.T) {
	r := startRig(t)
	s, err := r.upstream(nil).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for seq := range uint64(3) {
		receipt, err := s.Publish(t.Context(), gateway.Message{
			ID: gateway.MessageID{Store: "ab", Lane: "telemetry", Seq: seq + 1}, Kind: gateway.KindTelemetry,
			Created: time.Now(), ContentType: "application/json", Body: []byte(`{"v":1}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		await(t, receipt.Done())
	}
	if rows := r.audit.rows(); len(rows) != 1 || rows[0] != (auditRow{Device: "d1", Store: "ab", Lane: "telemetry", First: 1, Last: 3, Received: 3}) {
		t.Errorf("audit %+v", rows)
	}
	if e := r.events("")[2]; e.System["message-id"] != "ab-telemetry-3" || e.Properties["kind"] != "telemetry" || !strings.HasSuffix(e.Properties["iothub-creation-time-utc"], "Z") || string(e.Body) != `{"v":1}` {
		t.Errorf("recorded %+v", e)
	}
}
