//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// numbered are n readings to hand in.
func numbered(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"name":"n","value":%d}`, i)
	}
	return lines
}

// accept hands n readings in and returns the ids under which they were accepted.
func (g *gateway) accept(t *testing.T, n int) []string {
	t.Helper()
	answers, err := g.ingest(numbered(n))
	if err != nil || len(answers) != n {
		t.Fatalf("%d of %d lines answered: %v", len(answers), n, err)
	}
	return idsOf(t, answers)
}

// idsOf are those that ingest has answered with.
func idsOf(t *testing.T, answers []string) (ids []string) {
	t.Helper()
	for _, a := range answers {
		var answer struct{ ID string }
		if err := json.Unmarshal([]byte(a), &answer); err != nil || answer.ID == "" {
			t.Fatalf("answered %s, want an id", a)
		}
		ids = append(ids, answer.ID)
	}
	return ids
}

// TestMosquittoRestarts: the broker is restarted while messages flow, and the
// gateway is killed. The receiver gets all of them in order; after each loss no
// more comes twice than may be in flight.
func TestMosquittoRestarts(t *testing.T) {
	const rounds, inFlight = 3, 16
	dir := t.TempDir()
	// The receiver is slower than the gateway: the default would drop messages.
	m := startMosquitto(t, dir, "max_queued_messages 0")
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream(fmt.Sprint("in_flight: ", inFlight)))
	g.start(t)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	r.awaitPresence(t, "online")
	var ids []string
	for range rounds {
		ids = append(ids, stopWhileSending(t, m, r, g)...)
		m.start(t)
		r.awaitMessages(t, ids)
	}
	ids = append(ids, stopWhileSending(t, m, r, g)...)
	g.process.kill()
	g.start(t)
	m.start(t)
	r.awaitMessages(t, ids)
	judgeOrder(t, r.all(), (rounds+1)*inFlight) // the gateway is killed while it has nothing in flight
	r.awaitPresence(t, "online")
	if code := g.process.terminate(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	r.awaitPresence(t, "offline")
	stored := filepath.Join(dir, "stored.ndjson")
	eventually(t, time.Minute, func() error { // the last may be on their way to the receiver
		r.store(t, stored)
		audit := exec.Command(program(t, "fieldpost"), "audit", stored, "--against", filepath.Join(dir, "data"), "--config", g.config)
		if out, err := audit.CombinedOutput(); err != nil || !strings.Contains(string(out), "none missing") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// stopWhileSending stops the broker in the midst of a thousand messages, and
// returns their ids.
func stopWhileSending(t *testing.T, m *mosquitto, r *receiver, g *gateway) []string {
	t.Helper()
	before := len(r.all())
	var answers []string
	var err error
	var handingIn sync.WaitGroup
	handingIn.Go(func() { answers, err = g.ingest(numbered(1000)) })
	eventually(t, time.Minute, func() error {
		if n := len(r.all()) - before; n < 100 {
			return fmt.Errorf("%d messages have come", n)
		}
		return nil
	})
	m.stop(t)
	handingIn.Wait()
	if err != nil || len(answers) != 1000 {
		t.Fatalf("%d lines answered: %v", len(answers), err)
	}
	return idsOf(t, answers)
}

// judgeOrder checks that each lane came for the first time in order and without
// a hole, and counts what the gateway, not the broker, has sent again.
func judgeOrder(t *testing.T, got []envelope, repeatsAllowed int) {
	t.Helper()
	last := make(map[string]uint64)
	repeats := 0
	for _, e := range got {
		switch next := last[e.Lane] + 1; {
		case e.Seq == next:
			last[e.Lane] = next
		case e.Seq > next:
			t.Fatalf("%s came for the first time where %d was due", e.ID, next)
		case !e.again:
			repeats++
		}
	}
	t.Logf("%d messages by lane %v, %d repeats", len(got), last, repeats)
	if repeats > repeatsAllowed {
		t.Errorf("%d repeats, want %d at most", repeats, repeatsAllowed)
	}
}

// TestMosquittoPassword: a wrong password is named for what it is; with the
// right one everything arrives that was stored meanwhile.
func TestMosquittoPassword(t *testing.T) {
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	for i, name := range []string{"board", "receiver"} {
		flags := []string{"-b", "-c"}[:2-i] // the first makes the file
		out, err := exec.Command("mosquitto_passwd", append(flags, passwords, name, name+"-secret")...).CombinedOutput()
		if err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
	}
	m := startMosquitto(t, dir, "allow_anonymous false", "password_file "+passwords)
	r := startReceiver(t, m, func(o *paho.ClientOptions) { o.SetUsername("receiver").SetPassword("receiver-secret") })
	g := prepareGatewayFor(t, dir, m.upstream("username: board", "password: not-the-secret"))
	g.start(t)
	s := g.awaitCondition(t, "uplink-refused")
	if summary := s.condition("uplink-refused"); !strings.Contains(summary, "check username, password and client_id") {
		t.Errorf("the condition says %q", summary)
	}
	if wait := s.Upstream.NextAttempt.Sub(s.Now); wait < 30*time.Second {
		t.Errorf("the next attempt is in %v, want the slow end of the back-off", wait)
	}
	ids := g.accept(t, 100)
	if got := r.all(); len(got) > 0 {
		t.Errorf("%d messages have come without a login", len(got))
	}
	if text := readText(t, g.log); strings.Contains(text, "not-the-secret") {
		t.Error("the log holds the password")
	}
	g.process.kill()
	text := strings.Replace(readText(t, g.config), "not-the-secret", "board-secret", 1)
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	r.awaitMessages(t, ids)
}

// TestMosquittoTLS: the broker's certificate comes from a CA of its own, which
// the gateway must be told.
func TestMosquittoTLS(t *testing.T) {
	t.Parallel() // it mostly waits for a condition
	dir := t.TempDir()
	ca, cert, key := certificates(t, dir)
	m := startMosquitto(t, dir, "certfile "+cert, "keyfile "+key)
	secure := strings.Replace(m.upstream(), "mqtt://127.0.0.1", "mqtts://localhost", 1)
	g := prepareGatewayFor(t, dir, secure)
	g.start(t)
	s := g.awaitCondition(t, "uplink-offline")
	if summary := s.condition("uplink-offline"); !strings.Contains(summary, "not trusted here; set ca_file") {
		t.Errorf("the condition says %q", summary)
	}
	ids := g.accept(t, 50)
	g.process.kill()

	r := startReceiver(t, m, func(o *paho.ClientOptions) {
		o.Servers = nil
		o.AddBroker("tls://" + m.address).SetTLSConfig(trusting(t, ca))
	})
	g = prepareGatewayFor(t, dir, secure+"    ca_file: "+ca+"\n")
	g.start(t)
	r.awaitMessages(t, ids)
	r.awaitPresence(t, "online")
	r.command(t, "c-1", "relay", `{"on":true}`)
	if status := r.awaitResults(t, 1)["c-1"]; status != "done" {
		t.Errorf("the command ended as %q", status)
	}
}

// TestMosquittoForgets: a broker that keeps nothing is killed. The gateway
// subscribes again, so that commands reach it, and repeats no more than it had
// in flight.
func TestMosquittoForgets(t *testing.T) {
	const inFlight = 16
	dir := t.TempDir()
	m := startMosquitto(t, dir, "persistence false", "max_queued_messages 0")
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream(fmt.Sprint("in_flight: ", inFlight)))
	g.start(t)
	for round := range 3 {
		r.awaitPresence(t, "online")
		id := fmt.Sprint("c-", round)
		r.command(t, id, "pulse", `{"ms":5}`)
		if status := r.awaitResults(t, round+1)[id]; status != "done" {
			t.Fatalf("%s ended as %q", id, status)
		}
		g.accept(t, 200)
		r.forgetPresence()
		m.process.kill()
		m.start(t)
	}
	r.awaitPresence(t, "online")
	s, err := g.status()
	if err != nil || s.Upstream.Resent > 3*inFlight {
		t.Errorf("%d messages were sent again after 3 losses (%v), want %d each at most", s.Upstream.Resent, err, inFlight)
	}
}

// TestMosquittoKeepsCommands: commands that are sent while the gateway is away
// reach it when it comes back, over a restart of the broker too, and each is
// carried out once.
func TestMosquittoKeepsCommands(t *testing.T) {
	const commands = 20
	dir := t.TempDir()
	m := startMosquitto(t, dir)
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream())
	g.start(t)
	r.awaitPresence(t, "online") // the broker knows its session from now on
	if code := g.process.terminate(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	r.awaitPresence(t, "offline")
	for i := range commands {
		r.command(t, fmt.Sprint("c-", i), "pulse", `{"ms":5}`)
	}
	m.stop(t)
	m.start(t)
	g.start(t)
	status := r.awaitResults(t, commands)
	times := actuations(t, dir)
	for i := range commands {
		id := fmt.Sprint("c-", i)
		if status[id] != "done" || times[id] != 1 {
			t.Errorf("%s ended as %q and was carried out %d times", id, status[id], times[id])
		}
	}
}

// TestMosquittoBurst: commands come faster than the device carries them out,
// through a broker that has one in flight at a time and through one with many.
// None is lost, none is carried out twice.
func TestMosquittoBurst(t *testing.T) {
	const commands = 200 // more than wait for one device
	for _, window := range []int{1, 100} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			dir := t.TempDir()
			m := startMosquitto(t, dir, fmt.Sprint("max_inflight_messages ", window), "max_queued_messages 0")
			r := startReceiver(t, m)
			g := prepareGatewayFor(t, dir, m.upstream())
			g.start(t)
			r.awaitPresence(t, "online")
			for i := range commands {
				r.command(t, fmt.Sprint("c-", i), "pulse", `{"ms":5}`)
			}
			status := r.awaitResults(t, commands)
			times := actuations(t, dir)
			for i := range commands {
				if id := fmt.Sprint("c-", i); status[id] != "done" || times[id] != 1 {
					t.Errorf("%s ended as %q and was carried out %d times", id, status[id], times[id])
				}
			}
		})
	}
}

// TestMosquittoDropsCommands: a broker whose queue for the gateway is full drops
// commands by itself. What it did keep is carried out, and the session is sound.
func TestMosquittoDropsCommands(t *testing.T) {
	const kept, sent = 10, 50
	dir := t.TempDir()
	m := startMosquitto(t, dir, "max_inflight_messages 5", fmt.Sprint("max_queued_messages ", kept))
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream())
	g.start(t)
	r.awaitPresence(t, "online")
	g.process.kill()
	r.awaitPresence(t, "offline") // the last will
	for i := range sent {
		r.command(t, fmt.Sprint("away-", i), "pulse", `{"ms":5}`)
	}
	g.start(t)
	r.awaitPresence(t, "online")
	r.awaitResults(t, kept)
	r.command(t, "after", "relay", `{"on":true}`)
	eventually(t, time.Minute, func() error {
		status := r.awaitResults(t, kept+1)
		if status["after"] != "done" {
			return fmt.Errorf("results %v", status)
		}
		return nil
	})
	times := actuations(t, dir)
	for id, status := range r.awaitResults(t, kept+1) {
		if status != "done" || id != "after" && times[id] != 1 {
			t.Errorf("%s ended as %s and was carried out %d times", id, status, times[id])
		}
	}
}

// TestMosquittoTooLarge: a message that the broker would not take becomes a dead
// letter; those around it arrive. While the config does not know the limit, the
// broker cuts the connection at that message, and nothing behind it is lost.
func TestMosquittoTooLarge(t *testing.T) {
	const limit = 8192
	dir := t.TempDir()
	m := startMosquitto(t, dir, fmt.Sprint("max_packet_size ", limit))
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream("max_message_bytes: 64000"))
	g.start(t)
	r.awaitPresence(t, "online")
	ids := g.accept(t, 10)
	large := fmt.Sprintf(`{"name":"note","value":%q}`, strings.Repeat("x", 2*limit))
	answers, err := g.ingest([]string{large})
	if err != nil || len(answers) != 1 || !strings.Contains(answers[0], `"id"`) {
		t.Fatalf("a large reading was answered %q (%v), want an id", answers, err)
	}
	ids = append(ids, g.accept(t, 10)...)
	eventually(t, time.Minute, func() error {
		s, err := g.status()
		if err == nil && s.Upstream.Resent == 0 {
			err = fmt.Errorf("the connection is not cut: %+v", s.Upstream)
		}
		return err
	})

	g.process.kill()
	text := strings.Replace(readText(t, g.config), "max_message_bytes: 64000", "max_message_bytes: 8000", 1)
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	r.awaitMessages(t, ids)
	wantAll(t, "dead letters", g.tool(t, 0, "deadletters", "ls"), "max_message_bytes is 8000", "telemetry")
	for _, e := range r.all() {
		if len(e.Body) > limit {
			t.Errorf("%s came with %d bytes", e.ID, len(e.Body))
		}
	}
	s, err := g.status()
	if err != nil || s.Upstream.Resent != 0 {
		t.Errorf("%d messages were sent again (%v): the connection was lost", s.Upstream.Resent, err)
	}
}

// TestMosquittoCutsForALargeMessage: nobody tells the gateway the limit of the
// broker, and still the message that is over it holds the others up for some
// minutes only, and is kept as a dead letter.
func TestMosquittoCutsForALargeMessage(t *testing.T) {
	t.Parallel() // it waits, mostly
	const limit = 8192
	dir := t.TempDir()
	m := startMosquitto(t, dir, fmt.Sprint("max_packet_size ", limit))
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream(""))
	g.start(t)
	r.awaitPresence(t, "online")
	ids := g.accept(t, 10)
	r.awaitMessages(t, ids)
	large := fmt.Sprintf(`{"name":"note","value":%q}`, strings.Repeat("x", 2*limit))
	if answers, err := g.ingest([]string{large}); err != nil || len(answers) != 1 || !strings.Contains(answers[0], `"id"`) {
		t.Fatalf("a large reading was answered %q (%v), want an id", answers, err)
	}
	ids = append(ids, g.accept(t, 10)...)
	eventually(t, 6*time.Minute, func() error {
		if letters := g.tool(t, 0, "deadletters", "ls"); !strings.Contains(letters, "larger than the server allows") {
			return fmt.Errorf("dead letters: %s", letters)
		}
		return nil
	})
	r.awaitMessages(t, ids)
}
