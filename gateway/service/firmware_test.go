package service

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
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

// fetching tells whom a device asks for the proxy.
type fetching chan func() *url.URL

func (f fetching) FetchThrough(proxy func() *url.URL) { f <- proxy }

// TestFirmwareGoesTheWayOfTheUpstream: through its proxy, if it has one, whatever its type.
func TestFirmwareGoesTheWayOfTheUpstream(t *testing.T) {
	const key = "connection_string: HostName=hub.example;DeviceId=gw;SharedAccessKey=c2VjcmV0"
	for upstream, want := range map[string]string{
		"type: mqtt, url: 'mqtt://127.0.0.1:1'":                                         "<nil>",
		"type: mqtt, url: 'mqtt://127.0.0.1:1', proxy: 'http://board:pass@127.0.0.1:2'": "http://board:pass@127.0.0.1:2",
		"type: iothub, " + key + ", proxy: 'http://127.0.0.1'":                          "http://127.0.0.1:3128",
	} {
		asked := make(fetching, 1)
		text := strings.Replace(configText, "type: mqtt, url: BROKER", upstream, 1)
		startServiceWith(t, t.TempDir(), text+"  - {id: node, driver: mcu, port: /dev/serial/by-id/absent}\n", func(l *Loaded) {
			driver := &l.devices[len(l.devices)-1].driver
			made := driver.Make
			driver.Make = func(config any, buses *bus.Set) (drivers.Device, error) {
				device, err := made(config, buses)
				device.Fetcher = asked
				return device, err
			}
		})
		select {
		case proxy := <-asked:
			if got := fmt.Sprint(proxy()); got != want {
				t.Errorf("%s: through %s, want %s", upstream, got, want)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: the device was not told", upstream)
		}
	}
}
