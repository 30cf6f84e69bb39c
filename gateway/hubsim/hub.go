package hubsim

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a hub needs to know.
type Options struct {
	// Data is the directory of the hub; it is made if it is missing.
	Data string
	// MQTT and HTTPS are the addresses to listen on; port 0 takes any that is
	// free. "" is 127.0.0.1:0.
	MQTT, HTTPS string
	// Host is the name in connection strings and in the certificate; "" is
	// localhost.
	Host string
	// Devices are made if the hub does not have them yet.
	Devices []string
	// DeviceCAs are files with certificates in PEM of the authorities that sign
	// those of devices.
	DeviceCAs []string
	// CommandTTL is the life of a command whose sender names no expiry: 1 min
	// to 48 h, 0 is 1 h.
	CommandTTL time.Duration
	// UploadTTL is how long a device may take to upload a file: 1 s to 24 h, 0
	// is 1 h.
	UploadTTL time.Duration
	// DailyMessages is how many messages of 4 KB the hub takes in a day, both
	// ways together, and SendsPerSecond how many all devices may send in a
	// second. 0 is no limit.
	DailyMessages, SendsPerSecond int
	Log                           *slog.Logger
}

func (o *Options) complete() error {
	if o.Data == "" {
		return errors.New("the data directory is missing")
	}
	for _, field := range []struct {
		value *string
		other string
	}{{&o.MQTT, "127.0.0.1:0"}, {&o.HTTPS, "127.0.0.1:0"}, {&o.Host, "localhost"}} {
		if *field.value == "" {
			*field.value = field.other
		}
	}
	if o.CommandTTL == 0 {
		o.CommandTTL = time.Hour
	}
	if o.CommandTTL < time.Minute || o.CommandTTL > 48*time.Hour {
		return fmt.Errorf("time to live of commands: %v is not allowed, want 1m to 48h", o.CommandTTL)
	}
	if o.UploadTTL == 0 {
		o.UploadTTL = defaultUploadTTL
	}
	if o.UploadTTL < time.Second || o.UploadTTL > 24*time.Hour {
		return fmt.Errorf("time to live of uploads: %v is not allowed, want 1s to 24h", o.UploadTTL)
	}
	if o.DailyMessages < 0 || o.SendsPerSecond < 0 {
		return errors.New("limits: want a whole number, 0 for none")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Hub is a running double of IoT Hub.
type Hub struct {
	options     Options
	log         *slog.Logger
	lock        *os.File
	authority   *authority
	deviceCAs   *x509.CertPool
	secrets     *secrets
	state       *state
	record      *record
	uploads     *uploads
	blobs       *blobs
	audit       *audit
	faults      faults
	calls       calls
	maintenance maintenance
	quota       quota
	pace        pace
	broker      *broker

	mqtt, https net.Listener
	server      *http.Server
	connections atomic.Int64
	closing     context.Context // ends when Close begins
	shut        context.CancelFunc
	closed      func() error
	running     sync.WaitGroup // every goroutine and every HTTP handler
	door        sync.Mutex     // between closing and handlers that come in
}

// Start starts a hub and returns when it is ready and hubsim.json is written.
// It runs until ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Hub, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("hubsim: %w", err)
	}
	h := &Hub{options: o, log: o.Log, audit: newAudit()}
	h.closing, h.shut = context.WithCancel(context.WithoutCancel(ctx))
	h.closed = sync.OnceValue(h.close)
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("hubsim: %w", err), h.Close())
	}
	context.AfterFunc(ctx, func() { _ = h.Close() }) // who wants the error calls Close
	return h, nil
}

func (h *Hub) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(h.options.Data, 0o700); err != nil {
		return err
	}
	if h.lock, err = lockDirectory(h.options.Data); err != nil {
		return err
	}
	if err := removeStale(h.infoPath()); err != nil { // of a hub that was killed
		return err
	}
	if h.mqtt, err = listen(ctx, "mqtt", h.options.MQTT); err != nil {
		return err
	}
	if h.https, err = listen(ctx, "https", h.options.HTTPS); err != nil {
		return err
	}
	if err := h.load(); err != nil {
		return err
	}
	if err := h.serve(); err != nil {
		return err
	}
	return h.writeInfo()
}

// load reads what earlier runs have left.
func (h *Hub) load() (err error) {
	dir := h.options.Data
	if h.authority, err = openAuthority(dir); err != nil {
		return err
	}
	if h.deviceCAs, err = loadDeviceCAs(h.options.DeviceCAs); err != nil {
		return err
	}
	if h.secrets, err = openSecrets(dir); err != nil {
		return err
	}
	if h.state, err = openState(filepath.Join(dir, "state.ndjson"), h.options.CommandTTL); err != nil {
		return err
	}
	if h.uploads, err = openUploads(filepath.Join(dir, "uploads.ndjson")); err != nil {
		return err
	}
	if h.blobs, err = openBlobs(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	for _, id := range h.options.Devices {
		if err := h.state.create(id); err != nil && !errors.Is(err, errDeviceExists) {
			return err
		}
	}
	h.record, err = openRecord(filepath.Join(dir, "events.ndjson"), func(l line) {
		// What is wrong with a gap record was logged when it arrived.
		_ = h.audit.observe(l.Device, func(name string) string { return l.Properties[name] }, l.payload())
	})
	return err
}

func (h *Hub) serve() (err error) {
	settings, err := h.authority.serverConfig(h.options.Host)
	if err != nil {
		return err
	}
	if h.broker, err = newBroker(h); err != nil {
		return err
	}
	h.running.Go(func() { h.acceptMQTT(h.mqtt, settings) })
	h.server = &http.Server{
		Handler: h.routes(), TLSConfig: settings.Clone(), ReadHeaderTimeout: helloTime,
		ErrorLog:    slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return h.closing },
	}
	h.running.Go(func() {
		if err := h.server.ServeTLS(h.https, "", ""); !errors.Is(err, http.ErrServerClosed) {
			h.log.Error("the HTTPS server has ended", "error", err)
		}
	})
	return nil
}

// Close stops the hub at once: clients are cut off. What was acknowledged is
// there at the next start.
func (h *Hub) Close() error { return h.closed() }

// enter counts an HTTP handler in, unless the hub is closing.
func (h *Hub) enter() bool {
	h.door.Lock()
	defer h.door.Unlock()
	if h.closing.Err() != nil {
		return false
	}
	h.running.Add(1) // Done by the handler, when it ends
	return true
}

func (h *Hub) close() error {
	h.door.Lock()
	h.shut()
	h.door.Unlock()
	var faults []error
	note := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	if h.server != nil {
		note(h.server.Close())
	}
	for _, l := range []net.Listener{h.mqtt, h.https} {
		if l != nil {
			note(l.Close())
		}
	}
	h.running.Wait()
	if h.broker != nil {
		note(h.broker.server.Close())
	}
	if h.record != nil && h.record.journal != nil {
		note(h.record.journal.close())
	}
	if h.uploads != nil && h.uploads.journal != nil {
		note(h.uploads.close())
	}
	if h.state != nil && h.state.journal != nil {
		note(h.state.close())
	}
	if h.lock != nil { // we own the directory
		note(removeStale(h.infoPath()))
		note(h.lock.Close())
	}
	return errors.Join(faults...)
}
