// Command guest is init on the emulated board: it mounts, loads modules, plays
// the chips, and then does what the test on the host asks for. See package board.
package main

import (
	"fmt"
	"net"
	"net/rpc"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/scripts/board"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("board:", err) // on the console, which the test shows
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// run serves the host until that hangs up.
func run() error {
	if err := mountAll(); err != nil {
		return err
	}
	if err := loadModules("/lib/modules"); err != nil {
		return err
	}
	if err := mount("configfs", "configfs", "/sys/kernel/config"); err != nil {
		return err
	}
	if err := networkUp(); err != nil {
		return err
	}
	agent := newAgent()
	if err := agent.openBuses(); err != nil {
		return err
	}
	go linkSerialPorts()
	conn, err := net.Dial("tcp", os.Getenv(board.HostVariable))
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Board", agent); err != nil {
		return err
	}
	server.ServeConn(conn)
	return nil
}
