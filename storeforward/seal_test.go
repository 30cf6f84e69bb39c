package storeforward

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestNothingReadableIsOnDisk with a key: neither messages, nor commands.
func TestNothingReadableIsOnDisk(t *testing.T) {
	const secret = "the price of tomatoes"
	for key, visible := range map[string]bool{"": true, testKey: false} {
		o := testOptions(t.TempDir())
		o.Key = []byte(key)
		q := mustOpen(t, o)
		m := msg(gateway.LaneTelemetry, secret)
		m.CorrelationID = secret
		mustAppend(t, q, m)
		cmd := command(secret)
		mustBegin(t, q.Journal(), cmd)
		if err := q.Reject(t.Context(), mustAppend(t, q, m)[0], secret); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(storeBytes(t, o.Dir), []byte(secret)); got != visible {
			t.Errorf("key %q: the text is visible: %v", key, got)
		}
		q = mustOpen(t, o)
		if got := mustNextOf(t, q, gateway.LaneTelemetry); string(got.Body) != secret || got.CorrelationID != secret {
			t.Errorf("key %q: %+v comes back", key, got)
		}
		if e, first := mustBegin(t, q.Journal(), cmd); first || e.Command.ID != secret {
			t.Errorf("key %q: the command is not known", key)
		}
	}
}

// storeBytes is everything in the files of a store.
func storeBytes(t *testing.T, dir string) []byte {
	t.Helper()
	files, err := filepath.Glob(dir + "*/*")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

// TestAnotherKeyIsNoDamage: the store is left as it is, for the right key.
func TestAnotherKeyIsNoDamage(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Key = []byte(testKey)
	q := mustOpen(t, o)
	id := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))[0]
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "another key of the same length"} {
		wrong := o
		wrong.Key = []byte(key)
		if _, err := Open(wrong); !errors.Is(err, ErrKey) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), o.Dir) {
			t.Errorf("key %q: %v, want ErrKey with the directory", key, err)
		}
	}
	if got := mustNext(t, mustOpen(t, o)); got.ID != id {
		t.Errorf("got %s, want %s", got.ID, id)
	}
	short := testOptions(t.TempDir())
	short.Key = []byte("short")
	if _, err := Open(short); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a short key: %v, want ErrInvalid", err)
	}
}

// TestAStoreGoesOverToEncryption: what is there stays readable, and from then
// on the key is needed.
func TestAStoreGoesOverToEncryption(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	mustAppend(t, q, msg(gateway.LaneTelemetry, "plain"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	o.Key = []byte(testKey)
	q = mustOpen(t, o)
	mustAppend(t, q, msg(gateway.LaneTelemetry, "sealed"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	plain := o
	plain.Key = nil
	if _, err := Open(plain); !errors.Is(err, ErrKey) {
		t.Errorf("without the key: %v, want ErrKey", err)
	}
	q = mustOpen(t, o)
	for _, want := range []string{"plain", "sealed"} {
		if got := mustNext(t, q); string(got.Body) != want {
			t.Errorf("got %q, want %q", got.Body, want)
		}
	}
}
