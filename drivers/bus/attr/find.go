package attr

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Find finds the folder of a device in a class, a directory such as
// /sys/class/hwmon, by what its attribute name says: the numbers of the folders
// change from boot to boot. If there are several of one name, place tells them
// apart: placeOf gives that of a folder. The error lists what there is.
func Find(class, name, place string, placeOf func(dir string) string) (string, error) {
	found, names := named(class, name)
	if len(found) == 0 {
		return "", fmt.Errorf("the kernel has no such chip; it has %s. Is its driver loaded (dtoverlay, or new_device of the bus)? %w", List(names), gateway.ErrUnavailable)
	}
	var places []string
	for _, dir := range found {
		at := placeOf(dir)
		if at == place || place == "" && len(found) == 1 {
			return dir, nil
		}
		places = append(places, at)
	}
	if place == "" {
		return "", fmt.Errorf("there are several: %s; say by the key device which it is: %w", List(places), gateway.ErrInvalid)
	}
	return "", fmt.Errorf("the kernel has no such chip at %s; it has it at %s: %w", place, List(places), gateway.ErrUnavailable)
}

// named finds the folders with a name, and lists the names of all.
func named(class, name string) (found, names []string) {
	entries, err := os.ReadDir(class)
	if err != nil {
		return nil, nil // the kernel makes the class with its first device
	}
	for _, e := range entries {
		dir := filepath.Join(class, e.Name())
		text, err := read(filepath.Join(dir, "name"))
		if err != nil {
			continue
		}
		if text == name {
			found = append(found, dir)
		}
		if !slices.Contains(names, text) {
			names = append(names, text)
		}
	}
	return found, names
}

// List puts names into a sentence.
func List(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
