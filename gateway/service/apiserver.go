package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
)

// api serves the local API on a Unix socket.
type api struct {
	*Service
	listener net.Listener
}

// listen opens the socket. A leftover of a crash is replaced; the lock of the
// store, which is held by now, says that no other gateway serves it.
func (s *Service) listen(ctx context.Context) (*api, error) {
	path := s.now().config.Gateway.socketPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("gateway.socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("gateway.socket: %s is there and no socket; choose another path or remove it", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("gateway.socket: %w", err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("gateway.socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("gateway.socket: %w", err), l.Close())
	}
	return &api{Service: s, listener: l}, nil
}

// run serves until ctx ends.
func (a *api) run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.status()) })
	mux.HandleFunc("GET /v1/devices", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, slices.Concat(a.deviceStatus(), a.sceneStatus(), []DeviceStatus{a.ownStatus()}))
	})
	mux.HandleFunc("GET /v1/rules", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.rules()) })
	mux.HandleFunc("GET /v1/claims", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.claims()) })
	mux.HandleFunc("POST /v1/devices/{id}/read", a.read)
	mux.HandleFunc("POST /v1/devices/{id}/firmware", a.firmware)
	mux.HandleFunc("POST /v1/do", a.do)
	mux.HandleFunc("POST /v1/commands/cancel", a.cancel)
	mux.HandleFunc("POST /v1/safe", a.safe)
	mux.HandleFunc("POST /v1/reload", a.reload)
	a.registerUploads(mux)
	mux.HandleFunc("GET /metrics", a.metrics)
	(&queueAPI{queue: a.queue, dater: a.dater, log: a.log}).register(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	return serve(ctx, server, a.listener)
}

// serve answers until ctx ends, and what is under way then for a moment more.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	var conns sync.WaitGroup // whose handlers use the queue, which is closed next
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			conns.Done()
		}
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // it closes the listener whatever it returns
	}
	err := <-served
	conns.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller who has left needs no answer
}

func fault(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(Fault{Error: err.Error()})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, gateway.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, gateway.ErrFull):
		return http.StatusInsufficientStorage
	default:
		return http.StatusInternalServerError
	}
}

// do carries out a command from the command line, on the same way as all others.
func (a *api) do(w http.ResponseWriter, r *http.Request) {
	var req DoRequest
	if !decode(w, r, "command", &req) {
		return
	}
	result, err := a.now().control.dispatcher.Do(r.Context(), gateway.Command{
		Device: req.Device, Action: req.Action, Args: req.Args, Origin: gateway.OriginLocal,
	})
	if err != nil {
		fault(w, statusOf(err), err)
		return
	}
	answer(w, result)
}

func (s *Service) status() Status {
	gw, now := s.now(), time.Now()
	return Status{
		Gateway: s.id, Version: s.build.Version, Commit: s.build.Commit, Started: moment(s.started, now), Now: now.UTC(),
		ClockTrusted: s.clock.Trusted(), BootID: clock.BootID(),
		Conditions: s.conditions(), Upstream: sending(gw.link.sender), Children: gw.link.childStatus(), Queue: s.queue.Stats(),
		Devices: s.deviceStatus(), Commands: gw.control.dispatcher.Stats(), Rules: s.ruleStatus(), Settings: s.remote.Status(), Uploads: s.uploadsUnderWay(),
		Memory: MemoryStatus{RSSBytes: residentBytes(), Goroutines: runtime.NumGoroutine()},
	}
}

func (s *Service) deviceStatus() []DeviceStatus {
	now, tunings := s.now(), s.remote.Tunings()
	list := make([]DeviceStatus, 0, len(now.devices))
	for _, d := range now.devices {
		st := d.status(time.Now())
		st.Settings = tunings[d.id].set
		if d.actuator != nil {
			st.Actions = now.actions(d.actuator)
		}
		if standing, ok := now.policy.Standing(d.id); ok {
			st.Output = &standing
		}
		list = append(list, st)
	}
	return list
}

// actions are what a device can be asked to do, each with the time that it has.
func (a *assembly) actions(of gateway.Actuator) []gateway.Action {
	list := slices.Clone(of.Actions())
	for i := range list {
		list[i].Timeout = cmp.Or(list[i].Timeout, a.config.Commands.Timeout)
	}
	return list
}

// ownStatus is the gateway as one of its devices: it can be asked for things.
func (s *Service) ownStatus() DeviceStatus {
	return DeviceStatus{ID: ownDevice, Driver: "the gateway itself", State: "good", Actions: s.now().actions(itself{s})}
}

// status of a device, as its source has it.
func (d *device) status(now time.Time) DeviceStatus {
	stats := d.source.Stats()
	st := DeviceStatus{
		ID: d.id, Driver: d.spec.Driver, State: string(stats.State), Reason: stats.Reason,
		Since: moment(stats.Since, now), LastRead: moment(stats.LastReading, now), Reads: stats.Reads, Failures: stats.Failures,
	}
	if d.can.Sensor != nil || d.can.Stream != nil {
		st.Processing, st.Alerts = &stats.Processing, stats.Alerts
	}
	if st.Firmware = d.keeper.FirmwareUpdate(); st.Firmware != nil {
		st.Firmware.Since = moment(st.Firmware.Since, now)
	}
	for _, r := range stats.Latest {
		st.Latest = append(st.Latest, asLatest(r))
	}
	return st
}

// residentBytes is VmRSS of this process; 0 where the kernel does not tell.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
