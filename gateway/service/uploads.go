package service

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// UploadsConfig is the section uploads.
type UploadsConfig struct {
	MaxBytes config.Bytes `yaml:"max_bytes" doc:"Files that wait to be uploaded never take more of the disk than this; one that does not fit is refused. queue.min_free stays free." default:"100MB" min:"1MB"`
}

// filer is an upstream that takes files.
type filer interface {
	Files() upload.Cloud
}

// errNoFiles is why a gateway uploads none.
var errNoFiles = fmt.Errorf("the upstream is a plain MQTT broker, which takes no files; uploads need an upstream of type iothub: %w", gateway.ErrDenied)

// wayOfFiles is where files go; nil if the upstream takes none.
func (s *Service) wayOfFiles(config *Loaded, u uplink.Upstream) *upload.Way {
	f, ok := u.(filer)
	if !ok {
		return nil
	}
	rate := int64(config.upstream.MaxRate)
	way := &upload.Way{Cloud: f.Files(), BlockBytes: blockBytes(rate)}
	if pace := uplink.NewPace(rate, s.meter); pace != nil {
		way.Pace = pace
	}
	return way
}

// openUploads takes up the uploads of earlier runs, if the upstream takes files.
// Without a spool the gateway runs on.
func (s *Service) openUploads(config *Loaded, way *upload.Way) {
	if way == nil {
		s.uploadsOff = errNoFiles
		return
	}
	spool, err := upload.Open(upload.Options{
		Dir: filepath.Join(config.Gateway.DataDir, "uploads"), MaxBytes: int64(config.Uploads.MaxBytes),
		MinFree: int64(config.Queue.MinFree), Way: *way, Clock: s.clock, Health: s.health, Log: s.log, Held: s.uploadsHeld,
	})
	if err != nil {
		s.uploadsOff = errors.New("files cannot be uploaded until the next start: " + err.Error())
		s.health.Raise(upload.Condition, health.Error, s.uploadsOff.Error()+"; check the disk and the owner of the directory")
		return
	}
	s.uploads = spool
}

// blockBytes is how much of a file goes at once: a minute's worth at the rate,
// so that not much is lost with the line, and 1 MiB at most.
func blockBytes(rate int64) int64 {
	if rate == 0 {
		return 1 << 20
	}
	return min(max(rate*int64(time.Minute/time.Second), 64<<10), 1<<20)
}

// uploadsHeld says why files have to wait, if they have.
func (s *Service) uploadsHeld() string {
	if s.meter.State() != uplink.PlanHeld {
		return ""
	}
	return "the data plan is used up, files wait until " + resets(s.meter.Standing())
}

// uploader is what uploads files, or the reason why none are.
func (s *Service) uploader() (*upload.Uploader, error) { return s.uploads, s.uploadsOff }

// uploadsUnderWay are the files that are not delivered yet.
func (s *Service) uploadsUnderWay() []upload.Upload {
	if s.uploads == nil {
		return nil
	}
	return slices.DeleteFunc(s.uploads.List(), func(up upload.Upload) bool { return up.State.Final() })
}
