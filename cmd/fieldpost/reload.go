package main

import (
	"fmt"
	"net/http"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type reloadCmd struct {
	socketFlag
	JSON bool `help:"Print JSON." name:"json"`
}

// Help says what is left alone.
func (reloadCmd) Help() string {
	return `Puts the config file in force without a restart. Only what is different is opened or
connected anew: ports and lines of all other devices stay open, and what they are set
to stays. The queue is not touched. Commands under way end first, those that wait go
on afterwards. A file that is wrong, or that changes what takes a restart (gateway.id,
gateway.data_dir, gateway.socket, queue, the type of the upstream, the lanes of its
children), is refused as a whole, and the config before stays in force.

Exit codes: 0 in force, 1 refused, 69 no gateway runs, 78 the file is wrong.`
}

func (c *reloadCmd) Run(io streams) error {
	var done service.Reloaded
	if err := c.client().call(http.MethodPost, "/v1/reload", struct{}{}, &done); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, done)
	}
	for _, advice := range done.Advice {
		fmt.Fprintf(io.err, "warning: %s\n", advice)
	}
	_, err := fmt.Fprintln(io.out, done.Text())
	return err
}
