package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
)

// maxStanding bounds the bytes of what is remembered, as gateway.Memory does.
const maxStanding = 4 << 10

// alertKey names one alert.
type alertKey struct {
	Device gateway.DeviceID `json:"device"`
	ID     string           `json:"id"`
}

// standing remembers on the card which alerts a receiver has been told of and
// not yet that they are over. So a restart neither tells a beginning again nor
// forgets to tell an end. What was told is written down once the message is
// durable: a power cut in between has it told twice, never not at all.
type standing struct {
	memory gateway.Memory // nil: nothing is remembered
	log    *slog.Logger

	mu   sync.Mutex
	keys []alertKey
}

// load returns what was remembered.
func (s *standing) load() []alertKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory == nil {
		return nil
	}
	data, err := s.memory.Load()
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &s.keys)
	}
	if err != nil {
		s.keys = nil
		s.log.Warn("it is not known any more which alerts have been told; those that stand are told again", "error", err)
	}
	return slices.Clone(s.keys)
}

// told notes an alert whose message is durable.
func (s *standing) told(a gateway.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := alertKey{a.Device, a.ID}
	before := len(s.keys)
	s.keys = slices.DeleteFunc(s.keys, func(k alertKey) bool { return k == key })
	if a.Active {
		s.keys = append(s.keys, key)
	}
	if s.memory == nil || len(s.keys) == before {
		return
	}
	if err := s.memory.Save(s.encoded()); err != nil {
		s.log.Warn("which alerts have been told could not be noted; a restart may tell them again", "error", err)
	}
}

// EndAlerts tells the end of all alerts that a memory has of a device which is no
// more.
func EndAlerts(ctx context.Context, memory gateway.Memory, to Alerter, c clock.Clock, log *slog.Logger) error {
	told := &standing{memory: memory, log: log}
	var errs []error
	for _, key := range told.load() {
		a := gateway.Alert{Device: key.Device, ID: key.ID, Time: c.Now(), Values: map[string]gateway.Value{}}
		errs = append(errs, to.Alert(ctx, a, func() { told.told(a) }))
	}
	return errors.Join(errs...)
}

// encoded is what fits of the keys, the latest of them.
func (s *standing) encoded() []byte {
	for from := 0; ; from++ {
		data, err := json.Marshal(s.keys[from:])
		if err == nil && len(data) <= maxStanding || from == len(s.keys) {
			return data
		}
	}
}
