package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// maxFirmware bounds an image that is handed over, in bytes.
const maxFirmware = 4 << 20

// Firmware is the answer to POST /v1/devices/{id}/firmware: by its checksum the action
// firmware-update finds the image.
type Firmware struct {
	SHA256 string `json:"sha256"`
}

// firmwareDir is where a device keeps images of firmware.
func firmwareDir(dataDir, device string) string { return filepath.Join(dataDir, "firmware", device) }

// firmware takes an image for a device, which is the body of the request. It answers
// once that survives a power cut. Whether it is any good the device decides.
func (a *api) firmware(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	now := a.now()
	i := slices.IndexFunc(now.devices, func(d *device) bool { return string(d.id) == id })
	if i < 0 || !now.devices[i].keeper.KeepsFiles() {
		fault(w, http.StatusNotFound, fmt.Errorf("no device %.80q takes firmware: %w", id, gateway.ErrUnknown))
		return
	}
	image, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFirmware))
	if err != nil {
		fault(w, http.StatusBadRequest, fmt.Errorf("image of at most %d bytes: %w", maxFirmware, err))
		return
	}
	sum := sha256.Sum256(image)
	kept := Firmware{SHA256: hex.EncodeToString(sum[:])}
	dir := firmwareDir(now.config.Gateway.DataDir, id)
	if err := durable.MakeDir(dir, 0o750); err != nil {
		fault(w, http.StatusInternalServerError, fmt.Errorf("keep the image: %w", err))
		return
	}
	if err := durable.Replace(filepath.Join(dir, kept.SHA256+".fpfw"), image, 0o640); err != nil {
		fault(w, http.StatusInternalServerError, fmt.Errorf("keep the image: %w", err))
		return
	}
	answer(w, kept)
}
