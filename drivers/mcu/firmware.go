package mcu

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// updateFirmware is the action that the driver adds where there are keys.
	updateFirmware = "firmware-update"
	// updateTime bounds one, the wait for a microcontroller that is unplugged included.
	updateTime = 2 * time.Hour
	// tellTime bounds the telling that one has failed.
	tellTime = 5 * time.Second
)

// updateAction declares it.
func updateAction() gateway.Action {
	return gateway.Action{
		Name: updateFirmware, Help: "Replaces the firmware by a signed image; what does not come up is put back.",
		Resumable: true, Patient: true, Timeout: updateTime,
		Args: []gateway.Arg{
			{Name: "url", Type: gateway.ArgText, Help: "where the image is fetched from, by HTTPS"},
			{Name: "sha256", Type: gateway.ArgText, Help: "checksum of the image file, in hex; without url, of one that was handed over"},
			{Name: "force", Type: gateway.ArgBool, Help: "true sends an older version, or the one that runs, too"},
		},
	}
}

// keys are those that an image may be signed with.
func (c Config) keys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	var faults []error
	for i, text := range c.FirmwareKeys {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != ed25519.PublicKeySize {
			faults = append(faults, &gateway.FieldError{Field: fmt.Sprintf("firmware_keys[%d]", i), Problem: "is no public key; want what `fieldpost firmware keygen` prints, 44 characters of base64"})
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// update carries out a command for another firmware: however often it is cut short,
// the microcontroller ends up with the new one or with the one before.
func (d *Dev) update(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	version, err := d.bring(ctx, cmd)
	switch {
	case err == nil:
		d.tidy(cmd)
		return map[string]any{"version": version.String()}, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("the update goes on where it was: %w", ctx.Err())
	default:
		d.tidy(cmd)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime) // its time may be over
		defer cancel()
		d.tellUpdate(ctx, "failed")
		return nil, err
	}
}

// bring brings the image of a command into the microcontroller, and says its version.
func (d *Dev) bring(ctx context.Context, cmd gateway.Command) (link.Version, error) {
	file, err := d.image(ctx, cmd)
	if err != nil {
		return 0, err
	}
	im, err := d.verified(file)
	if err != nil {
		return 0, err
	}
	force, _ := cmd.Args["force"].(bool)
	needed, err := d.needs(im, force, cmd.Resumed)
	if err != nil {
		return 0, err
	}
	d.beginUpdate(im.Version)
	defer d.endUpdate()
	if needed {
		err = d.replace(ctx, im)
	}
	if err == nil {
		d.keep(file)
		d.tellUpdate(ctx, "confirmed")
	}
	return im.Version, err
}

// verified is an image that is whole, and signed with one of the keys.
func (d *Dev) verified(file []byte) (*link.Image, error) {
	im, err := link.ParseImage(file)
	if err != nil {
		return nil, err
	}
	keys, err := d.config.keys()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if im.Verify(key) == nil {
			return im, nil
		}
	}
	return nil, fmt.Errorf("the image is signed with none of firmware_keys: %w", gateway.ErrDenied)
}

// needs says whether an image has to be sent, or why it must not be. A command that is
// resumed was judged before.
func (d *Dev) needs(im *link.Image, force, resumed bool) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.hello.Target != 0 && d.hello.Target != im.Target:
		return false, fmt.Errorf("the image is for the hardware %04x, this is %04x: %w", im.Target, d.hello.Target, gateway.ErrDenied)
	case d.hello.Image == link.NoUpdate:
		return false, fmt.Errorf("its firmware takes no images: %w", gateway.ErrDenied)
	case force || d.plan == nil:
		return true, nil
	case im.Version == d.plan.Version: // it runs already, unless it is to be confirmed
		return d.hello.Role == link.Loader || d.hello.Image != link.Confirmed, nil
	case im.Version < d.plan.Version && !resumed:
		return false, fmt.Errorf("the image is %v, older than %v, which it has; force=true sends it all the same: %w", im.Version, d.plan.Version, gateway.ErrDenied)
	default:
		return true, nil
	}
}

// replace brings an image into the microcontroller, and the one before back if it does
// not come up, or cannot be stored whole.
func (d *Dev) replace(ctx context.Context, im *link.Image) error {
	err := (&update{Dev: d, image: im}).run(ctx)
	if err == nil || ctx.Err() != nil || !errors.Is(err, errNotUp) && !d.leftWithout(ctx) {
		return err
	}
	before, missing := d.before()
	if missing != nil {
		return fmt.Errorf("%w; its loader waits for another image: %w", err, missing)
	}
	d.log.Warn("the new firmware does not work; the one before is put back", "error", err, "version", before.Version)
	d.tellUpdate(ctx, "putting back")
	if back := (&update{Dev: d, image: before}).run(ctx); back != nil {
		return fmt.Errorf("%w; %v could not be put back: %w", err, before.Version, back)
	}
	return fmt.Errorf("%w; %v was put back and runs", err, before.Version)
}

// leftWithout says that an update which has failed has left nothing that runs. What was
// refused before a byte of it was stored leaves the image before, which is started.
func (d *Dev) leftWithout(ctx context.Context) bool {
	conn, err := d.use()
	if err != nil || conn.Err() != nil {
		return false // nobody is there whom it could be given back
	}
	hello, err := conn.Hello(ctx)
	if err == nil && hello.Role == link.Loader {
		if hello, err = conn.Start(ctx); err == nil {
			err = d.greet(ctx, conn)
		}
	}
	return err != nil || hello.Image == link.OnTrial
}
