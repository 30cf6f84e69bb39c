package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type firmwareCmd struct {
	Update  firmwareUpdateCmd  `cmd:"" help:"Replace the firmware of a microcontroller, and wait until that is confirmed."`
	Status  firmwareStatusCmd  `cmd:"" help:"List the microcontrollers with what runs on them, and how far an update is."`
	Keygen  firmwareKeygenCmd  `cmd:"" help:"Make a key to sign firmware with; its public half goes into firmware_keys."`
	Sign    firmwareSignCmd    `cmd:"" help:"Make a file of firmware out of a .bin or .hex, signed with a key."`
	Inspect firmwareInspectCmd `cmd:"" help:"Show what a file of firmware is, and check all of it."`
}

// updateFirmware is the action of a microcontroller.
const updateFirmware = "firmware-update"

type firmwareUpdateCmd struct {
	socketFlag
	Device string `arg:"" help:"Device, as in the config."`
	File   string `arg:"" help:"File of firmware, as 'fieldpost firmware sign' makes it." type:"path"`
	Force  bool   `help:"Send an older version, or the one that runs, too."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Help says what is certain when.
func (firmwareUpdateCmd) Help() string {
	return `The gateway takes a copy of the file, checks it against firmware_keys and the hardware,
and sends what the microcontroller does not have yet. This waits for the end; Ctrl-C
ends the waiting, not the update, which outlives unplugging, power cuts and restarts.
Firmware that does not come up is not confirmed: the one before is put back, if it came
by the gateway too.`
}

func (c *firmwareUpdateCmd) Run(io streams) error {
	file, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, err := link.ParseImage(file); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	resp, err := c.client().do(ctx, http.MethodPost, "/v1/devices/"+url.PathEscape(c.Device)+"/firmware", bytes.NewReader(file))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var kept service.Firmware
	if err := json.NewDecoder(resp.Body).Decode(&kept); err != nil {
		return err
	}
	args := map[string]any{"sha256": kept.SHA256, "force": c.Force}
	result, err := c.follow(ctx, io, service.DoRequest{Device: gateway.DeviceID(c.Device), Action: updateFirmware, Args: args})
	if err != nil {
		return fmt.Errorf("%w; an update that has begun goes on, see: fieldpost firmware status", err)
	}
	if err = printResult(io.out, result, c.JSON); err == nil && result.Status != gateway.StatusDone {
		err = &failure{exitFailed, fmt.Errorf("%s: %s", c.Device, result.Status)}
	}
	return err
}

// follow waits for the end of the update and shows how far it is.
func (c *firmwareUpdateCmd) follow(ctx context.Context, io streams, req service.DoRequest) (gateway.Result, error) {
	var result gateway.Result
	ended := make(chan error, 1)
	go func() { ended <- c.client().wait(ctx, http.MethodPost, "/v1/do", req, &result) }()
	p := newProgress(io, "% stored")
	defer p.end()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return result, err
		case <-ticker.C:
		}
		if list, err := c.microcontrollers(c.Device); err == nil && len(list) == 1 {
			p.show(uint64(list[0].Progress), 0)
		}
	}
}

// microcontroller is one line of `firmware status`.
type microcontroller struct {
	Device   gateway.DeviceID `json:"device"`
	State    string           `json:"state"`
	Firmware string           `json:"firmware,omitempty"`
	// Update is how far the last one since the start of the gateway is.
	Update   string    `json:"update,omitempty"`
	Progress float64   `json:"progress_percent"`
	Since    time.Time `json:"since,omitzero"`
}

// microcontrollers are the devices that take firmware, or the one of an id.
func (s socketFlag) microcontrollers(id string) ([]microcontroller, error) {
	var list []service.DeviceStatus
	if err := s.client().get("/v1/devices", &list); err != nil {
		return nil, err
	}
	found := []microcontroller{}
	for _, d := range list {
		if d.Driver != "mcu" || id != "" && string(d.ID) != id {
			continue
		}
		m := microcontroller{Device: d.ID, State: d.State}
		for _, r := range d.Latest {
			switch r.Name {
			case "firmware":
				m.Firmware = r.Value.String()
			case "firmware.update":
				m.Update, m.Since = r.Value.String(), r.Time
			case "firmware.progress":
				m.Progress, _ = r.Value.Number()
			}
		}
		found = append(found, m)
	}
	return found, nil
}

type firmwareStatusCmd struct {
	socketFlag
	Device string `arg:"" optional:"" help:"Only this one."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

func (c *firmwareStatusCmd) Run(io streams) error {
	list, err := c.microcontrollers(c.Device)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, list)
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "device\tstate\tfirmware\tupdate")
	for _, m := range list {
		update := m.Update
		if slices.Contains([]string{"sending", "waiting"}, update) {
			update = fmt.Sprintf("%s, %.0f %% stored", update, m.Progress)
		}
		if !m.Since.IsZero() {
			update += ", " + ago(time.Now(), m.Since)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Device, m.State, m.Firmware, update)
	}
	return w.Flush()
}
