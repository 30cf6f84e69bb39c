package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/storeforward"
)

// fieldpost is package storeforward, set up as the gateway does it, except that
// each Append is committed at once and that the store is never full.
type fieldpost struct {
	q   *storeforward.Queue
	ids []gateway.MessageID
}

func openFieldpost(dir string, key []byte) (*fieldpost, error) {
	o := storeforward.Defaults(filepath.Join(dir, "queue"))
	o.MaxBytes, o.MinFree = 16<<30, storeforward.MinMinFree
	o.CommitAge = 0
	o.Lanes = map[gateway.Lane]storeforward.LaneOptions{
		gateway.LaneTelemetry: {Overflow: storeforward.DropNewest}, // losing messages would be an error here
	}
	o.Key = key
	o.Clock = clock.NewSystem(time.Time{})
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	q, err := storeforward.Open(o)
	if err != nil {
		return nil, err
	}
	return &fieldpost{q: q}, nil
}

func (f *fieldpost) append(bodies [][]byte) error {
	messages := make([]gateway.Message, len(bodies))
	now := time.Now().UTC()
	for i, b := range bodies {
		messages[i] = gateway.Message{
			ID:   gateway.MessageID{Lane: gateway.LaneTelemetry},
			Kind: gateway.KindTelemetry, Created: now, ContentType: "application/json", Body: b,
		}
	}
	_, err := f.q.Append(context.Background(), messages...)
	return err
}

// take acknowledges in windows, as an upstream does.
func (f *fieldpost) take(ctx context.Context, n int) error {
	f.ids = f.ids[:0]
	for range n {
		m, err := f.q.Next(ctx)
		if err != nil {
			return err
		}
		if m.ID.Lane != gateway.LaneTelemetry {
			return fmt.Errorf("message %s: a gap record or dead letter, so something was lost", m.ID)
		}
		f.ids = append(f.ids, m.ID)
	}
	return f.q.Ack(f.ids...)
}

func (f *fieldpost) head(ctx context.Context) ([]byte, error) {
	f.q.Rewind()
	m, err := f.q.Next(ctx)
	return m.Body, err
}

func (f *fieldpost) close() error { return f.q.Close() }
