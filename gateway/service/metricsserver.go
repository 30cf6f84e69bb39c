package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/exposition"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// MetricsConfig is the section metrics.
type MetricsConfig struct {
	Listen string `yaml:"listen" doc:"IP address and port at which Prometheus finds the metrics, at /metrics: whoever reaches it may read them. Left out: only at the socket." example:"127.0.0.1:9273"`
}

// Validate checks what no tag can say.
func (c *MetricsConfig) Validate() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if n, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil || n == 0 {
		return &gateway.FieldError{Field: "listen", Problem: fmt.Sprintf("%.60q is no address to listen at; want an IP address of this board and a port, such as 127.0.0.1:9273, or :9273 for all addresses", c.Listen)}
	}
	return nil
}

const (
	// metricsConns is how many scrapers are served at the same time; others wait.
	metricsConns = 4
	// metricsRetry is how often an address is tried that cannot be had.
	metricsRetry = 5 * time.Second
)

// metrics answers GET /metrics. The page is complete before the first byte of it leaves, so
// that nothing waits for a slow reader.
func (s *Service) metrics(w http.ResponseWriter, _ *http.Request) {
	page := s.status().Metrics()
	w.Header().Set("Content-Type", exposition.ContentType)
	_, _ = w.Write(page) // a caller who has left needs no answer
}

// serveMetrics serves the metrics, and nothing else, where the config says, until the
// stage is stopped.
func (s *Service) serveMetrics(ctx context.Context, c MetricsConfig) *stage {
	st := newStage(ctx, "metrics", s.fail)
	if c.Listen != "" {
		st.start(func(ctx context.Context) error { s.keepMetrics(ctx, c.Listen); return nil })
	}
	return st
}

// keepMetrics goes on when the address cannot be had: the network may come later, and the
// gateway has more to do than to be watched.
func (s *Service) keepMetrics(ctx context.Context, address string) {
	defer s.health.Clear(conditionMetrics)
	for {
		err := s.metricsAt(ctx, address)
		if ctx.Err() != nil {
			return
		}
		s.health.Raise(conditionMetrics, health.Warning, fmt.Sprintf("metrics.listen: %v; tried again every %v", advised(err), metricsRetry))
		select {
		case <-time.After(metricsRetry):
		case <-ctx.Done():
			return
		}
	}
}

// metricsAt serves the metrics at an address until ctx ends.
func (s *Service) metricsAt(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s.health.Clear(conditionMetrics)
	s.log.Info("metrics served", "address", address)
	return serveScrapers(ctx, listener, s.metrics)
}

// serveScrapers answers GET /metrics and nothing else. Who is slow is left behind after some
// seconds, and no more are served at the same time than the gateway can well bear.
func serveScrapers(ctx context.Context, listener net.Listener, metrics http.HandlerFunc) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	server.SetKeepAlivesEnabled(false) // a place is free for the next as soon as one is served
	return serve(ctx, server, netutil.LimitListener(listener, metricsConns))
}

// advised adds to why an address cannot be had what to do about it.
func advised(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another program has this port (ss -ltnp shows which): stop it, or choose another port", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this board does not have this address, or not yet (ip address shows those that it has)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; choose a port from 1024 on", err)
	}
	return err
}
