package main

import (
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystems names the magic numbers of statfs(2).
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.TMPFS_MAGIC: "tmpfs",
}

func fileSystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return "unknown"
	}
	if name, ok := fileSystems[int64(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system 0x%x", st.Type)
}

// machine describes what was measured on, without names.
func machine(dir string) string {
	var info unix.Sysinfo_t
	memory := "unknown"
	if unix.Sysinfo(&info) == nil {
		memory = fmt.Sprintf("%d MB", uint64(info.Totalram)*uint64(info.Unit)/1e6)
	}
	var uts unix.Utsname
	_ = unix.Uname(&uts) // then the release is empty
	release, _, _ := strings.Cut(unix.ByteSliceToString(uts.Release[:]), "-")
	return fmt.Sprintf("%s/%s, %d cores, %s of memory, %s, Linux %s, %s",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), memory, fileSystem(dir), release, runtime.Version())
}
