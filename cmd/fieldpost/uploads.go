package main

import (
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

type uploadsCmd struct {
	Ls     uploadsLsCmd     `cmd:"" help:"List the files that are on their way, and the last of those that were."`
	Cancel uploadsCancelCmd `cmd:"" help:"Give up an upload; the gateway's copy is removed."`
}

type uploadsLsCmd struct {
	socketFlag
	JSON bool `help:"Print JSON." name:"json"`
}

func (c *uploadsLsCmd) Run(io streams) error {
	var list []upload.Upload
	if err := c.client().get("/v1/uploads", &list); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, list)
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "id\tstate\tsent\tsize\taccepted\tname\tdetail")
	now := time.Now()
	for _, up := range list {
		detail := up.Detail
		if up.NextAttempt.After(now) {
			detail = fmt.Sprintf("next attempt in %s: %s", age(up.NextAttempt.Sub(now)), detail)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", up.ID, up.State, bytesText(up.Sent), bytesText(up.Bytes), ago(now, up.Accepted), up.Name, shorten(detail, 120))
	}
	w.Flush()
	return nil
}

type uploadsCancelCmd struct {
	socketFlag
	IDs []string `arg:"" name:"id" help:"Ids, as 'fieldpost uploads ls' shows them."`
}

func (c *uploadsCancelCmd) Run(io streams) error {
	for _, id := range c.IDs {
		var up upload.Upload
		if err := c.client().call(http.MethodDelete, "/v1/uploads/"+id, nil, &up); err != nil {
			return err
		}
		fmt.Fprintln(io.out, uploadLine(up))
	}
	return nil
}

// printUploads says in a line of the status how many files are on their way.
func printUploads(out io.Writer, list []upload.Upload) {
	if len(list) == 0 {
		return
	}
	var sent, size int64
	for _, up := range list {
		sent, size = sent+up.Sent, size+up.Bytes
	}
	fmt.Fprintf(out, "uploads   %d under way, %s of %s sent\n", len(list), bytesText(sent), bytesText(size))
}
