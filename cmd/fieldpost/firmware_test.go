package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

func TestFirmwareFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	verb := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := run(append([]string{"firmware"}, args...), streams{out: &out, err: &out})
		return out.String(), code
	}
	out, code := verb("keygen", at("key"))
	public := regexp.MustCompile(`\[(.{44})\]`).FindStringSubmatch(out)
	if code != exitOK || public == nil {
		t.Fatalf("keygen: %d %s", code, out)
	}
	if info, err := os.Stat(at("key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v (%v)", info.Mode(), err)
	}
	if out, code := verb("keygen", at("key")); code != exitFailed {
		t.Errorf("a key is overwritten: %s", out)
	}
	if err := os.WriteFile(at("fw.hex"), []byte(":0400000001020304F2\r\n:0200080005 06EB\n:00000001FF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := verb("sign", at("fw.hex"), at("fw.fpfw"), "--key", at("key"), "--target", "0328", "--version", "1.2.3"); code != exitFailed || !strings.Contains(out, "line 2") {
		t.Errorf("a broken line: %d %s", code, out)
	}
	if err := os.WriteFile(at("fw.hex"), []byte(":0400000001020304F2\r\n:020008000506EB\n:00000001FF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := verb("sign", at("fw.hex"), at("fw.fpfw"), "--key", at("key"), "--target", "0328", "--version", "1.2.3"); code != exitOK {
		t.Fatalf("sign: %d %s", code, out)
	}
	file, err := os.ReadFile(at("fw.fpfw"))
	if err != nil {
		t.Fatal(err)
	}
	im, err := link.ParseImage(file)
	if err != nil || im.Target != 0x0328 || im.Version.String() != "1.2.3" || !bytes.Equal(im.Data, []byte{1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF, 5, 6}) {
		t.Fatalf("%+v (%v)", im, err)
	}
	out, code = verb("inspect", at("fw.fpfw"), "--key", public[1])
	wantText(t, "inspect", out, "version  1.2.3", "target   0328", "image    10 bytes")
	if code != exitOK {
		t.Errorf("inspect: %d", code)
	}
	other, _ := verb("keygen", at("other"))
	stranger := regexp.MustCompile(`\[(.{44})\]`).FindStringSubmatch(other)
	if out, code := verb("inspect", at("fw.fpfw"), "--key", stranger[1]); code != exitFailed || !strings.Contains(out, "not signed") {
		t.Errorf("another key: %d %s", code, out)
	}
	file[len(file)-1] ^= 1
	if err := os.WriteFile(at("fw.fpfw"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := verb("inspect", at("fw.fpfw")); code != exitFailed || !strings.Contains(out, "CRC") {
		t.Errorf("a flipped bit: %d %s", code, out)
	}
	for _, args := range [][]string{{"--target", "0", "--version", "1.2.3"}, {"--target", "0328", "--version", "1.2"}} {
		if out, code := verb(append([]string{"sign", at("fw.hex"), at("x"), "--key", at("key")}, args...)...); code != exitUsage {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}

func TestIntelHex(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "cut off",
		":0400000001020304F2":            "cut off",
		":0400000001020304F3\n":          "checksum",
		"0400000001020304F2\n":           "no record",
		":04000000010203F2\n":            "no record",
		":020000040100F9\n:0100000001FE": "beyond",
		":00000009F7\n":                  "type 9",
	} {
		if _, err := readHex([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	image, err := readHex([]byte(":020000021000EC\n:0100000001FE\n:00000001FF\n:garbage\n"))
	if err != nil || len(image) != 0x10001 || image[0x10000] != 1 {
		t.Errorf("%d bytes (%v)", len(image), err)
	}
}

func FuzzIntelHex(f *testing.F) {
	f.Add([]byte(":0400000001020304F2\n:00000001FF\n"))
	f.Add([]byte(":020000040001F9\n:0100000001FE\n:00000001FF"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if image, err := readHex(text); err == nil && len(image) > maxHexImage {
			t.Errorf("%d bytes", len(image))
		}
	})
}
