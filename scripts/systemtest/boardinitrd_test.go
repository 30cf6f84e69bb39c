//go:build board

package systemtest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// initrd is the board's root file system, in the format that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst: newc). It is not
// compressed, since unpacking would be emulated too.
type initrd struct {
	bytes.Buffer
	inode int
}

func (a *initrd) dir(name string)               { a.entry(name, 0o40755, nil) }
func (a *initrd) file(name string, data []byte) { a.entry(name, 0o100755, data) }
func (a *initrd) end()                          { a.entry("TRAILER!!!", 0, nil) }

// copyFile takes a file from the host.
func (a *initrd) copyFile(name, source string) error {
	data, err := os.ReadFile(source)
	if err == nil {
		a.file(name, data)
	}
	return err
}

func (a *initrd) entry(name string, mode int, data []byte) {
	a.inode++
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(data)
	a.pad()
}

func (a *initrd) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

// addModules takes modules of the kernel with all that they need, and the order
// to load them in. A module may be followed by its parameters.
func (a *initrd) addModules(dir string, wanted ...string) error {
	files, err := modulesBelow(dir)
	if err != nil {
		return err
	}
	var order, lines []string
	var add func(name, parameters string) error
	add = func(name, parameters string) error {
		if slices.Contains(order, name) {
			return nil
		}
		path := files[name]
		if path == "" {
			return fmt.Errorf("there is no module %s in %s", name, dir)
		}
		needs, err := modulesNeeded(path)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := add(need, ""); err != nil {
				return err
			}
		}
		order = append(order, name)
		lines = append(lines, strings.TrimSpace(name+".ko "+parameters))
		return a.copyFile("lib/modules/"+name+".ko", path)
	}
	for _, w := range wanted {
		name, parameters, _ := strings.Cut(w, " ")
		if err := add(name, parameters); err != nil {
			return err
		}
	}
	a.file("lib/modules/order", []byte(strings.Join(lines, "\n")+"\n"))
	return nil
}

// modulesBelow finds modules by their names, in which _ is - in some files.
func modulesBelow(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, is := strings.CutSuffix(filepath.Base(path), ".ko"); is {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return files, err
}

// modulesNeeded reads what a module says of itself.
func modulesNeeded(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s is no module", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(info), "\x00") {
		if needs, is := strings.CutPrefix(line, "depends="); is && needs != "" {
			return strings.Split(strings.ReplaceAll(needs, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
