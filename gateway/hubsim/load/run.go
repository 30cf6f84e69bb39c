package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// batch is how many devices one request makes.
const batch = 100

// progressEvery is how often the log says how it goes.
const progressEvery = 10 * time.Second

// Run makes the devices, lets the gateways work for the time given, or until
// ctx ends, and reports. An error means that the load did not begin.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &fleet{Options: o, run: strconv.FormatInt(time.Now().Unix(), 36)}
	if err := f.prepare(ctx); err != nil {
		return Report{}, fmt.Errorf("load: %w", err)
	}
	f.tally.Gateways = o.Gateways
	began := time.Now()
	ctx, stop := context.WithTimeout(ctx, o.Duration)
	defer stop()
	var running sync.WaitGroup
	for i := range o.Gateways {
		g := &gateway{fleet: f, id: f.id(i)}
		running.Go(func() {
			pause(ctx, rand.N(o.ConnectOver+1))
			g.work(ctx)
		})
	}
	running.Go(func() { f.progress(ctx) })
	running.Wait()
	r := f.tally.snapshot()
	r.Time = time.Since(began)
	return r, nil
}

// fleet is all gateways together.
type fleet struct {
	Options
	run   string // part of the names of stores: sequence numbers begin anew
	host  string // the hub's name in tokens
	key   string // of policy
	trust *tls.Config
	tally tally

	policy string
}

func (f *fleet) id(i int) string { return "load-" + strconv.Itoa(i+1) }

func (f *fleet) prepare(ctx context.Context) error {
	for part := range strings.SplitSeq(f.Hub.ServiceConnectionString, ";") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "HostName":
			f.host = value
		case "SharedAccessKeyName":
			f.policy = value
		case "SharedAccessKey":
			f.key = value
		}
	}
	if f.host == "" || f.policy == "" || f.key == "" {
		return errors.New("the service connection string of the hub lacks HostName, SharedAccessKeyName or SharedAccessKey")
	}
	pem, err := os.ReadFile(f.Hub.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate in PEM", f.Hub.CA)
	}
	f.trust = &tls.Config{RootCAs: roots, ServerName: f.host, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(f.Gateways)}
	return f.register(ctx)
}

// register makes the devices; those that are there stay.
func (f *fleet) register(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: f.trust}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for first := 0; first < f.Gateways; first += batch {
		var devices []map[string]string
		for i := first; i < min(first+batch, f.Gateways); i++ {
			devices = append(devices, map[string]string{"id": f.id(i), "importMode": "create"})
		}
		body, err := json.Marshal(devices)
		if err != nil {
			return err
		}
		if err := f.post(ctx, client, body); err != nil {
			return fmt.Errorf("making devices: %w", err)
		}
	}
	return nil
}

func (f *fleet) post(ctx context.Context, client *http.Client, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.Hub.HTTPS+"/devices?api-version=2021-04-12", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", f.token(f.host, time.Hour))
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var result struct {
		Errors []struct{ DeviceID, ErrorCode, ErrorStatus string }
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(answer, &result) != nil {
		return fmt.Errorf("the hub answers %s: %.200s", resp.Status, answer)
	}
	for _, e := range result.Errors {
		if e.ErrorCode != "DeviceAlreadyExists" {
			return fmt.Errorf("%s: %s: %s", e.DeviceID, e.ErrorCode, e.ErrorStatus)
		}
	}
	return nil
}

func (f *fleet) progress(ctx context.Context) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r := f.tally.snapshot()
			f.Log.Info("load", "connected", r.Connected, "acknowledged", r.Acknowledged, "refused", r.Refused, "lost", r.Lost)
		case <-ctx.Done():
			return
		}
	}
}

// dial opens a connection to the hub.
func (f *fleet) dial(ctx context.Context) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return (&tls.Dialer{Config: f.trust}).DialContext(ctx, "tcp", f.Hub.MQTT)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
