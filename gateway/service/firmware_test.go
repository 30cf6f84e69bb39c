package service

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirmwareIsHandedOver to devices that keep files, and to no others.
func TestFirmwareIsHandedOver(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(configText, "BROKER", startBroker(t).url, 1)
	r := startServiceWith(t, dir, text+"  - {id: node, driver: mcu, port: /dev/serial/by-id/absent}\n")
	r.awaitConnected(t)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("image")))
	if code, body := r.call(t, http.MethodPost, "/v1/devices/node/firmware", "image"); code != http.StatusOK || !strings.Contains(body, sum) {
		t.Errorf("%d %s", code, body)
	}
	if kept, err := os.ReadFile(filepath.Join(firmwareDir(filepath.Join(dir, "data"), "node"), sum+".fpfw")); string(kept) != "image" {
		t.Errorf("%q is kept (%v)", kept, err)
	}
	if code, body := r.call(t, http.MethodPost, "/v1/devices/node/firmware", strings.Repeat("x", maxFirmware+1)); code == http.StatusOK {
		t.Errorf("too much: %d %s", code, body)
	}
	for _, other := range []string{"bench", "nobody"} {
		if code, body := r.call(t, http.MethodPost, "/v1/devices/"+other+"/firmware", "image"); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", other, code, body)
		}
	}
	if others, _ := os.ReadDir(filepath.Join(dir, "data", "firmware")); len(others) != 1 {
		t.Errorf("images are kept for %v", others)
	}
}
