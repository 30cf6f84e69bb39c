package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type deadlettersCmd struct {
	Ls     lettersLsCmd     `cmd:"" help:"List the dead letters, oldest first."`
	Retry  lettersRetryCmd  `cmd:"" help:"Put messages back into their lanes, to be sent again under new ids."`
	Delete lettersDeleteCmd `cmd:"" help:"Delete dead letters for good."`
	Export lettersExportCmd `cmd:"" help:"Write all dead letters as JSON, one a line; they stay."`
}

// lettersPath is where the dead letters come from.
const lettersPath = "/v1/queue/export?lane=" + string(gateway.LaneDeadLetter)

// letter is what a person wants to know of a dead letter.
type letter struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Original is the id of the message that could not be sent, or of what was
	// not understood as a command.
	Original string `json:"original,omitempty"`
	Reason   string `json:"reason"`
	// Bytes is the size of the original's body, as far as it was kept.
	Bytes int             `json:"bytes"`
	Body  json.RawMessage `json:"body,omitempty"`
}

func readLetter(line []byte) (letter, error) {
	var m service.ExportedMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return letter{}, fmt.Errorf("dead letter: %w", err)
	}
	l := letter{ID: m.ID, Created: m.Created, Original: m.Correlation, Body: m.Body}
	var b struct {
		ID, Reason, Text string
		Body             json.RawMessage
		Base64           []byte
		Bytes            int
	}
	if err := json.Unmarshal(m.Body, &b); err != nil {
		l.Reason, l.Bytes = "not in a known form", len(m.Body)
		return l, nil
	}
	l.Reason = b.Reason
	if b.ID != "" {
		l.Original = b.ID
	}
	l.Bytes = max(b.Bytes, len(b.Body)+len(b.Text)+len(b.Base64))
	return l, nil
}

// letters calls f with each dead letter.
func (c *client) letters(ctx context.Context, f func(letter) error) error {
	return c.stream(ctx, lettersPath, func(line []byte) error {
		l, err := readLetter(line)
		if err != nil {
			return err
		}
		return f(l)
	})
}

type lettersLsCmd struct {
	queueFlag
	JSON bool `help:"Print one JSON object a line, bodies whole." name:"json"`
}

func (c *lettersLsCmd) Run(io streams) error {
	return c.use(io, func(ctx context.Context, client *client) error {
		if c.JSON {
			enc := json.NewEncoder(io.out)
			return client.letters(ctx, func(l letter) error { return enc.Encode(l) })
		}
		w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "id\tcreated\toriginal\tbytes\treason")
		count := 0
		err := client.letters(ctx, func(l letter) error {
			count++
			_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", l.ID, shownTime(l.Created), shorten(l.Original, 60), l.Bytes, shorten(l.Reason, 100))
			return err
		})
		if err == nil && count == 0 {
			_, err = fmt.Fprintln(io.out, "there are no dead letters")
			return err
		}
		return errors.Join(err, w.Flush())
	})
}

type lettersExportCmd struct {
	queueFlag
	Output string `help:"File to write to instead of stdout; it appears when it is complete." short:"o" type:"path"`
}

func (c *lettersExportCmd) Run(io streams) error {
	return c.use(io, func(ctx context.Context, client *client) error {
		_, err := exportTo(ctx, io, c.Output, client, lettersPath, 0)
		return err
	})
}

// lettersArgs say which dead letters.
type lettersArgs struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Ids of dead letters, as 'fieldpost deadletters ls' shows them."`
	All bool     `help:"All dead letters that there are."`
}

// chosen lists the ids, in groups of what one request takes.
func (a lettersArgs) chosen(ctx context.Context, c *client) (ids []string, err error) {
	switch {
	case a.All && len(a.IDs) > 0, !a.All && len(a.IDs) == 0:
		return nil, &failure{exitUsage, errors.New("want the ids of dead letters, or --all")}
	case !a.All:
		return a.IDs, nil
	}
	err = c.letters(ctx, func(l letter) error {
		ids = append(ids, l.ID)
		return nil
	})
	return ids, err
}

type lettersRetryCmd struct {
	queueFlag
	lettersArgs
	JSON bool `help:"Print JSON." name:"json"`
}

// Help says when it is of use.
func (lettersRetryCmd) Help() string {
	return `A dead letter is a message that the upstream has refused for good. Once the
reason is gone, send it again; it gets a new id, for the receiver was told by a
gap record that the old one never comes. What was no message, a command that was
not understood for example, cannot be sent: delete it when you have read it.

  fieldpost deadletters ls
  fieldpost deadletters retry --all`
}

func (c *lettersRetryCmd) Run(io streams) error {
	return c.use(io, func(ctx context.Context, client *client) error {
		ids, err := c.chosen(ctx, client)
		if err != nil {
			return err
		}
		results := make([]service.Retried, 0, len(ids))
		err = inGroups(io, ids, func(group []string) error {
			var some []service.Retried
			err := client.call(http.MethodPost, "/v1/deadletters/retry", service.LettersRequest{IDs: group}, &some)
			results = append(results, some...)
			return err
		})
		return errors.Join(c.print(io, results), err)
	})
}

func (c *lettersRetryCmd) print(io streams, results []service.Retried) error {
	failed := 0
	for _, r := range results {
		switch {
		case r.Error != "":
			failed++
			fmt.Fprintln(io.err, r.Error)
		case !c.JSON:
			fmt.Fprintf(io.out, "%s is sent again as %s\n", r.ID, r.NewID)
		}
	}
	if c.JSON {
		if err := printJSON(io.out, results); err != nil {
			return err
		}
	}
	if failed > 0 {
		return &failure{exitFailed, fmt.Errorf("%d of %d dead letters stay", failed, len(results))}
	}
	return nil
}

type lettersDeleteCmd struct {
	queueFlag
	yesFlag
	lettersArgs
	JSON bool `help:"Print JSON." name:"json"`
}

// Run asks between two uses of the queue, as purge does.
func (c *lettersDeleteCmd) Run(io streams) error {
	var ids []string
	err := c.use(io, func(ctx context.Context, client *client) (err error) {
		ids, err = c.chosen(ctx, client)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.confirm(io, fmt.Sprintf("Delete %d dead letters for ever?", len(ids))); err != nil {
		return err
	}
	return c.use(io, func(_ context.Context, client *client) error {
		deleted := service.Deleted{}
		err := inGroups(io, ids, func(group []string) error {
			var some service.Deleted
			err := client.call(http.MethodPost, "/v1/deadletters/delete", service.LettersRequest{IDs: group}, &some)
			deleted.Letters += some.Letters
			return err
		})
		if c.JSON {
			return errors.Join(err, printJSON(io.out, deleted))
		}
		fmt.Fprintf(io.out, "%d dead letters deleted\n", deleted.Letters)
		return err
	})
}

// inGroups calls f with as many ids at once as one request takes.
func inGroups(io streams, ids []string, f func(group []string) error) error {
	p := newProgress(io, "dead letters")
	defer p.end()
	done := 0
	for group := range slices.Chunk(ids, service.MaxLetters) {
		if err := f(group); err != nil {
			return err
		}
		done += len(group)
		p.show(uint64(done), uint64(len(ids)))
	}
	return nil
}
