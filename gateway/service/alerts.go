package service

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// alertsSuffix is that of the files which remember the alerts of a device.
const alertsSuffix = ".alerts"

// newAlertMemory is what is remembered of the alerts of one device.
func newAlertMemory(dataDir, device string, log *slog.Logger) *memory {
	return &memory{path: filepath.Join(dataDir, "devices", device+alertsSuffix), log: log}
}

// endFormerAlerts tells the end of what devices have told that do not measure any
// more: they are gone from the config, or have another id or driver. Their alerts
// would stand for ever with who was told.
func (s *Service) endFormerAlerts(config *Loaded, alerter func() (pipeline.Alerter, error)) error {
	dir := config.Gateway.DataDir
	files, err := filepath.Glob(filepath.Join(dir, "devices", "*"+alertsSuffix))
	if err != nil {
		s.log.Warn("alerts of former devices cannot be looked for", "error", err)
		return nil
	}
	for _, file := range files {
		id := strings.TrimSuffix(filepath.Base(file), alertsSuffix)
		if slices.ContainsFunc(config.devices, func(d deviceSpec) bool { return d.ID == id && d.driver.Measures() }) {
			continue
		}
		to, err := alerter()
		if err != nil {
			return err
		}
		log := s.log.With("device", id)
		if err := pipeline.EndAlerts(context.Background(), newAlertMemory(dir, id, log), to, s.clock, log); err != nil {
			log.Warn("the end of alerts of a former device could not be told", "error", err)
		}
	}
	return nil
}
