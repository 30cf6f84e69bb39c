// Command fieldpost is the gateway: the daemon and the tools to look after it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/fieldpost/fieldpost/gateway/config"
)

// Exit codes. 78 is EX_CONFIG and 69 EX_UNAVAILABLE of sysexits.h; the systemd
// unit does not restart the daemon after 78.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 69
	exitConfig      = 78
)

const description = `fieldpost reads the sensors of a board, keeps what they say in a queue that
survives power cuts, uploads it to Azure IoT Hub or an MQTT broker, and carries
commands back to the devices.

A board in three commands:
  fieldpost check          is the config right?
  fieldpost run            start (as a service: systemctl start fieldpost)
  fieldpost status         what is going on?

Exit codes: 0 ok, 1 failed, 2 usage, 69 the gateway is not running, 78 config.`

// verbs is the command line.
type verbs struct {
	Run         runCmd         `cmd:"" help:"Run the gateway until it is told to stop (SIGTERM or Ctrl-C)."`
	Check       checkCmd       `cmd:"" help:"Check the config and report every error in it at once; with --hardware, the wiring, too."`
	Probe       probeCmd       `cmd:"" help:"Find what is wired to this board, and print the config to paste."`
	Reload      reloadCmd      `cmd:"" help:"Put the config file in force without a restart; only what is different is opened anew."`
	Status      statusCmd      `cmd:"" help:"Show on one screen how the running gateway does."`
	Metrics     metricsCmd     `cmd:"" help:"Print what status says as numbers, in the format of Prometheus."`
	Queue       queueCmd       `cmd:"" help:"Look into the queue, of the running gateway or of one that stands still; export, verify, purge."`
	Deadletters deadlettersCmd `cmd:"" help:"See what could not be sent; try it again, or delete it."`
	Audit       auditCmd       `cmd:"" help:"Prove from what a receiver has stored that no message is missing."`
	Devices     devicesCmd     `cmd:"" help:"List the devices, or one with its readings and actions."`
	Rules       rulesCmd       `cmd:"" help:"List the rules: their state, when they last acted and will next, and why one does not know."`
	Read        readCmd        `cmd:"" help:"Read a device now, and show what it says."`
	Do          doCmd          `cmd:"" help:"Ask a device for an action and wait for the result."`
	Safe        safeCmd        `cmd:"" help:"Bring the outputs into their safe state now, or one of them; works without the gateway, too."`
	Commands    commandsCmd    `cmd:"" help:"See what became of commands, of the running gateway or of one that stands still; end one early."`
	Firmware    firmwareCmd    `cmd:"" help:"Replace the firmware of microcontrollers; make and sign the files for that."`
	Send        sendCmd        `cmd:"" help:"Hand in readings; each is answered by its message id once it is durable."`
	Upload      uploadCmd      `cmd:"" help:"Upload a file to the storage of the hub, over outages and restarts."`
	Uploads     uploadsCmd     `cmd:"" help:"See the files that are on their way to the hub, and give one up."`
	Version     versionCmd     `cmd:"" help:"Print version, commit and platform."`
}

// streams are what a verb talks to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes one command line and returns the exit code.
func run(args []string, io streams) int {
	var v verbs
	exit := -1
	parser, err := kong.New(&v,
		kong.Name("fieldpost"), kong.Description(description),
		kong.Writers(io.out, io.err), kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false}),
		kong.Bind(io),
	)
	if err != nil {
		fmt.Fprintln(io.err, "fieldpost:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if exit >= 0 { // help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(io.err, "fieldpost: %v\nTry: fieldpost --help\n", err)
		return exitUsage
	}
	return exitCode(ctx.Run(), io)
}

// exitCode prints an error and finds the code that goes with it.
func exitCode(err error, io streams) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(io.err, err)
	var f *failure
	var c config.Errors
	switch {
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &c):
		return exitConfig
	default:
		return exitFailed
	}
}
