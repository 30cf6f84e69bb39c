package main

import (
	"context"
	"io"
	"net/http"
)

type metricsCmd struct {
	socketFlag
}

// Help says who else can have them.
func (metricsCmd) Help() string {
	return `Prints what the gateway knows of itself as numbers, in the text format of Prometheus: the
same page that it serves at metrics.listen of its config. Where a
node_exporter runs already, its textfile collector takes them from a file:

  fieldpost metrics > /var/lib/node_exporter/fieldpost.prom.new &&
    mv /var/lib/node_exporter/fieldpost.prom.new /var/lib/node_exporter/fieldpost.prom`
}

func (c *metricsCmd) Run(to streams) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	resp, err := c.client().do(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(to.out, resp.Body)
	return err
}
