package main

import (
	"fmt"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type checkCmd struct {
	configFlag
	Schema bool `help:"Print the JSON Schema of the config file instead, for editors."`
}

func (c *checkCmd) Run(io streams) error {
	if c.Schema {
		return printJSON(io.out, service.Schema())
	}
	loaded, err := service.Load(c.Config)
	if err != nil {
		return &failure{exitConfig, err}
	}
	for _, advice := range loaded.Advice() {
		fmt.Fprintf(io.err, "warning: %v\n", advice)
	}
	_, err = fmt.Fprintf(io.out, "%s: right, %s\n", c.Config, loaded.Summary())
	return err
}
