package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// conditionReload stands while the config file is another one than that in force, and
// was refused.
const conditionReload = "config-refused"

// reloadPatience is how long commands under way may take to end.
const reloadPatience = 30 * time.Second

// Reloaded is the answer to POST /v1/reload: what is different by now.
type Reloaded struct {
	Added   []gateway.DeviceID `json:"added,omitempty"`
	Removed []gateway.DeviceID `json:"removed,omitempty"`
	// Reopened were closed and opened anew, since they, or their buses, are others.
	Reopened []gateway.DeviceID `json:"reopened,omitempty"`
	// Tuned have other settings and were not disturbed.
	Tuned []gateway.DeviceID `json:"tuned,omitempty"`
	// Upstream is true if its connection is made anew.
	Upstream bool `json:"upstream,omitempty"`
	// Metrics is true if they are served at another address, or no more.
	Metrics bool `json:"metrics,omitempty"`
	// Advice is what is right in the new config and yet unwise.
	Advice []string `json:"advice,omitempty"`
}

// reloadRequest is a wish for a reload, which is answered once.
type reloadRequest struct {
	answer chan<- reloadAnswer
}

type reloadAnswer struct {
	done Reloaded
	err  error
}

// reloadWhenAsked reads the config file anew when somebody asks for it, one reload at
// a time, until ctx ends.
func (s *Service) reloadWhenAsked(ctx context.Context, p Process) error {
	for {
		select {
		case <-p.Reload:
			_, _ = s.reload(ctx, p) // the log and a condition say what came of it
		case r := <-s.reloads:
			done, err := s.reload(ctx, p)
			r.answer <- reloadAnswer{done, err}
		case <-ctx.Done():
			return nil
		}
	}
}

// reload answers POST /v1/reload.
func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	answered := make(chan reloadAnswer, 1)
	select {
	case a.reloads <- reloadRequest{answered}:
	case <-r.Context().Done():
		return
	}
	switch got := <-answered; {
	case errors.As(got.err, new(config.Errors)):
		fault(w, http.StatusUnprocessableEntity, got.err)
	case got.err != nil:
		fault(w, http.StatusConflict, got.err)
	default:
		answer(w, got.done)
	}
}

// reload puts the config file in force. On an error, all of the config before is.
func (s *Service) reload(ctx context.Context, p Process) (Reloaded, error) {
	s.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer s.notify(daemon.SdNotifyReady)
	next, err := Load(s.now().config.path)
	var d difference
	if err == nil {
		d, err = s.now().compare(next, s.buses)
	}
	if err == nil && d.link {
		err = s.tryLink(next)
	}
	if err == nil {
		err = s.apply(ctx, next, d)
	}
	if err != nil {
		why := firstOf(err)
		s.health.Raise(conditionReload, health.Warning, "the config file was not put in force; the next start will find it as it is: "+why)
		s.log.Error("config refused, the one before stays in force", "error", why)
		return Reloaded{}, err
	}
	s.health.Clear(conditionReload)
	if p.Level != nil {
		_ = p.Level.UnmarshalText([]byte(next.Gateway.Log)) // it is one of those that exist
	}
	for _, advice := range next.Advice() {
		s.log.Warn("config", "advice", advice)
		d.Advice = append(d.Advice, advice.Error())
	}
	s.log.Info("config in force", "added", d.Added, "removed", d.Removed, "reopened", d.Reopened, "tuned", d.Tuned, "upstream", d.Upstream, "metrics", d.Metrics)
	return d.Reloaded, nil
}

// firstOf is an error in one line: of the faults of a file, the first one.
func firstOf(err error) string {
	var faults config.Errors
	if !errors.As(err, &faults) || len(faults) < 2 {
		return err.Error()
	}
	return fmt.Sprintf("%v; and %d more, see: fieldpost check", faults[0], len(faults)-1)
}

// Text says for people what has changed.
func (r Reloaded) Text() string {
	var parts []string
	for _, part := range []struct {
		what    string
		devices []gateway.DeviceID
	}{{"new", r.Added}, {"removed", r.Removed}, {"opened anew", r.Reopened}, {"with other settings", r.Tuned}} {
		if len(part.devices) > 0 {
			names := make([]string, 0, len(part.devices))
			for _, id := range part.devices {
				names = append(names, string(id))
			}
			slices.Sort(names)
			parts = append(parts, part.what+": "+strings.Join(names, ", "))
		}
	}
	if r.Upstream {
		parts = append(parts, "the connection to the upstream is made anew")
	}
	if r.Metrics {
		parts = append(parts, "metrics.listen is another")
	}
	if len(parts) == 0 {
		return "in force, no device and no connection is another"
	}
	return "in force; " + strings.Join(parts, "; ")
}
