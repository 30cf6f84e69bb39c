package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// inNamespace is set in the environment of a process that has its mounts for
// itself.
const inNamespace = "STOREFORWARD_TRIAL_MOUNTS"

// Apart runs this program once more, with the same arguments, where nobody else
// sees its mounts, and exits as that does. Without this, a process that is given
// a view of the mounts of its own, by whatever on this machine, would keep those
// of a trial; and they vanish with the last process of the trial, however it
// ends. It returns in that second process, and where this cannot be done.
func Apart() {
	if os.Getenv(inNamespace) != "" || os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread() // whose end the kernel would take for that of the parent
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inNamespace+"=own")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	}
	fmt.Fprintln(os.Stderr, "no mounts of our own:", err)
}
