// Command bench measures the queue of fieldpost beside other ways to keep
// messages on disk, and prints one table of figures and budgets.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	if task, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(task))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	dir, json string
	markdown  bool
	scale     scale
	only      *regexp.Regexp
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.dir, "dir", ".", "directory on the disk to measure; what is made there is removed")
	f.StringVar(&o.json, "json", "", "file for all figures of all engines")
	f.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	quick := f.Bool("quick", false, "few messages, once: two minutes, and rough figures")
	full := f.Bool("full", false, "a backlog of a million, and ten million for the head")
	rounds := f.Int("rounds", 0, "how often each is measured, instead of three times or, with -quick, once")
	only := f.String("only", "", "regular expression: measure what matches, for example 'append .*256'")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || *quick && *full {
		return o, fmt.Errorf("unexpected %q: want flags only, and -quick or -full, not both", f.Args())
	}
	o.scale = normalScale
	if *quick {
		o.scale = quickScale
	} else if *full {
		o.scale = fullScale
	}
	if *rounds > 0 {
		o.scale.rounds = *rounds
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	return o.run(ctx, out, progress)
}

func (o options) run(ctx context.Context, out, progress io.Writer) error {
	if fileSystem(o.dir) == "tmpfs" {
		fmt.Fprintln(progress, "this is memory, not a disk: syncs and wear mean nothing; choose another with -dir")
	}
	list, failed := bench{dir: o.dir, rounds: o.scale.rounds, progress: progress}.run(ctx, o.scale.plan(o.only))
	fmt.Fprintf(out, "%s; %d rounds; %s\n\n", machine(o.dir), o.scale.rounds, verdict(list))
	if o.markdown {
		printMarkdown(out, list)
	} else {
		printTable(out, list)
	}
	if o.json != "" {
		if err := writeJSON(o.json, rows(list)); err != nil {
			return err
		}
	}
	return failed
}

func writeJSON(file string, all []row) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
