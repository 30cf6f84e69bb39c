// Package service puts the gateway together: it builds the parts from the
// config, starts them in the order of the data's way, and stops them in the
// opposite one. It is the only package that knows them all.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/dating"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/latest"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
	"github.com/fieldpost/fieldpost/storeforward"
)

// Build says what was built, and when.
type Build struct {
	Version, Commit string
	// Time of the build, the floor of the clock.
	Time time.Time
}

// Service is one gateway. Make it with New, call Run once.
//
// It has what lasts for as long as the process does. What follows from the config is
// its assembly.
type Service struct {
	id      string
	build   Build
	log     *slog.Logger
	clock   *clock.System
	health  *health.Board
	latest  *latest.Board
	started time.Time

	buses      *bus.Set
	queue      *storeforward.Queue
	starts     *dating.Starts
	dater      *dating.Dater
	lanes      *lanes
	meter      *uplink.Meter
	remote     *remote
	wanted     *wanted
	uploads    *upload.Uploader // nil if uploadsOff says why
	uploadsOff error
	ca         *mqtt.Replacement // of ca_file, in all connections
	desiring   sync.Mutex
	desired    *desired // last; nil if nothing was heard yet
	current    atomic.Pointer[assembly]
	scraped    *stage // serves the metrics, if the config says where

	fatal   chan error
	again   chan string // the command that asks for a restart
	reloads chan reloadRequest
}

// Process is what the gateway has of the process that it runs in.
type Process struct {
	// Reload receives when the config file is to be read anew; nil: never.
	Reload <-chan os.Signal
	// Level of the log follows gateway.log; nil: it does not.
	Level *slog.LevelVar
}

// New prepares a gateway from a loaded config; nothing is opened yet.
func New(config *Loaded, build Build, log *slog.Logger) (*Service, error) {
	id, err := config.Gateway.id()
	if err != nil {
		return nil, err
	}
	s := &Service{
		id: id, build: build, log: log,
		clock: clock.NewSystem(build.Time), health: health.NewBoard(log), ca: mqtt.NewReplacement(), latest: latest.NewBoard(),
		started: time.Now(), fatal: make(chan error, 1), again: make(chan string, 1), reloads: make(chan reloadRequest),
	}
	s.current.Store(&assembly{config: config})
	return s, nil
}

// Run opens the store, brings the outputs into their safe state and works
// until ctx ends. It returns when everything has been stopped in order.
func (s *Service) Run(ctx context.Context, p Process) (err error) {
	first := s.now()
	s.openBuses(first.config)
	first.devices = s.keepDevices(first.config)
	defer func() { err = errors.Join(err, s.now().close(), s.buses.Close()) }()
	// Outputs come first: whatever else may fail must find them safe. The others
	// are opened when they are first asked.
	if first.policy, err = s.newPolicy(first); err != nil {
		return err
	}
	makeSafe(ctx, inOrder(first.devices, first.policy.Order())...)

	if err := s.openQueue(ctx, first.config); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while waiting for the disk
		}
		return err
	}
	defer func() { err = errors.Join(err, s.queue.Close()) }()
	s.starts = dating.NewStarts(dating.Options{
		Board: s.clock, Floor: s.build.Time, Memory: newBootMemory(first.config.Gateway.DataDir, s.log), Log: s.log,
	})
	s.dater = dating.NewDater(s.starts)
	defer s.starts.Stop()
	if err := s.makeMeter(first.config); err != nil {
		return err
	}
	s.lanes = s.newLanes(ctx, first.config.Batch)
	defer s.lanes.stop()
	if err := s.assemble(first); err != nil {
		return err
	}
	s.rememberInForce(first.config)
	api, err := s.listen(ctx)
	if err != nil {
		return err
	}
	return s.work(ctx, p, api)
}

// diskRetry is how often a start looks again whether a full disk has room.
const diskRetry = 5 * time.Second

// damageRetry is how long after the first complaint of damage the store is
// tried once more.
const damageRetry = time.Second

// openQueue opens the store. On a full disk it waits, and says so: the board
// may be far away, and whoever makes room there need not know of fieldpost. A
// damaged store is set aside: a gateway never fails to start because of it.
func (s *Service) openQueue(ctx context.Context, config *Loaded) error {
	heart := s.health.Heart("queue", time.Minute)
	options := config.storeOptions()
	options.Clock, options.Log, options.Beat = s.clock, s.log, heart.Beat
	var damaged error
	for {
		q, err := storeforward.Open(options)
		if err == nil {
			s.health.Clear(conditionDisk)
			s.queue = q
			s.log.Info("queue open", "store", q.Store(), "dir", options.Dir, "waiting", waiting(q.Stats()))
			return nil
		}
		retry := diskRetry
		switch {
		case errors.Is(err, gateway.ErrFull):
			s.health.Raise(conditionDisk, health.Error, err.Error())
		case errors.Is(err, storeforward.ErrDamaged) && damaged == nil:
			damaged, retry = err, damageRetry // it may have been a passing fault
		case errors.Is(err, storeforward.ErrKey):
			return fmt.Errorf("%w; give queue.encryption_key the key that the queue was written with", err)
		case errors.Is(err, storeforward.ErrDamaged):
			if err := s.setAside(options.Dir, err); err != nil {
				return err
			}
			damaged, retry = nil, 0
		default:
			return err
		}
		heart.Beat()
		s.notify("EXTEND_TIMEOUT_USEC=60000000")
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setAside moves a damaged store away, so that the gateway can go on with a new
// one, which salvages what it can of the other. The condition stands until the
// next start.
func (s *Service) setAside(dir string, why error) error {
	to, err := storeforward.Quarantine(dir)
	if to == "" {
		return errors.Join(why, err)
	}
	s.health.Raise(conditionDamaged, health.Error, fmt.Sprintf(
		"the queue could not be opened and was set aside as %s; a new one has begun, and what can be read of the old one is being brought over: %v", to, why))
	if err != nil {
		s.log.Warn("older damaged stores are in the way", "error", err)
	}
	return nil
}

func waiting(stats storeforward.Stats) (n uint64) {
	for _, l := range stats.Lanes {
		n += l.Waiting
	}
	return n
}

// work runs everything until ctx ends or a part fails for good.
func (s *Service) work(ctx context.Context, p Process, api *api) error {
	s.now().start(ctx, s.fail)
	settings, reload, front := newStage(ctx, "settings", s.fail), newStage(ctx, "reload", s.fail), newStage(ctx, "front", s.fail)
	uploads := newStage(ctx, "uploads", s.fail)
	if s.uploads != nil {
		uploads.start(s.uploads.Run)
	}
	settings.start(s.remote.Run)
	settings.start(s.wanted.Run)
	s.scraped = s.serveMetrics(ctx, s.now().config.Metrics) // until a reload changes it
	reload.start(func(ctx context.Context) error { return s.reloadWhenAsked(ctx, p) })
	front.start(api.run)
	front.start(s.watch)
	front.start(s.meter.Run)
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case id := <-s.again:
		s.log.Info("stopping, to be started again", "command", id)
	case err = <-s.fatal:
		s.log.Error("stopping because a part has failed", "error", err)
	}
	s.notifyStopping()
	reload.stop()   // from now on the assembly stays
	settings.stop() // a link that the stop ends is no fault of the settings
	s.stop()
	uploads.stop()
	s.scraped.stop()
	front.stop()
	select {
	case late := <-s.fatal: // of the stop itself: what it had to leave behind or lose
		err = errors.Join(err, late)
	default:
	}
	return err
}

// stop stops what moves data, each part before the one that it delivers to. Outputs
// take their safe state as soon as nobody moves them any more.
func (s *Service) stop() {
	now := s.now()
	var wg sync.WaitGroup // sensors and commands do not depend on each other
	wg.Go(func() { stopAll(now.devices) })
	wg.Go(now.control.stop)
	wg.Wait()
	wg.Go(func() {
		if err := now.close(); err != nil {
			s.fail(err)
		}
	})
	s.lanes.stop()
	now.link.stop()
	wg.Wait()
}

// fail takes the error that a part has ended with.
func (s *Service) fail(err error) {
	select {
	case s.fatal <- err:
	default:
		s.log.Error("stopped with an error", "error", err)
	}
}

// socketPath is where the command line tools find the gateway.
func (c *GatewayConfig) socketPath() string {
	return filepath.Clean(cmp.Or(c.Socket, "/run/fieldpost/fieldpost.sock"))
}
