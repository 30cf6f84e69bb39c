package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// makeWanted goes on with what the hub wants outputs to be.
func (s *Service) makeWanted(a *assembly) {
	s.wanted = newWanted(wantedOptions{
		File: filepath.Join(a.config.Gateway.DataDir, "outputs.json"), Twin: func() bool { return s.now().config.takesSettings() },
		Judge: s.judgeWanted, News: s.remote.news, Log: s.log,
		Do: func(ctx context.Context, cmd gateway.Command) (gateway.Result, error) {
			return s.now().control.dispatcher.Do(ctx, cmd)
		},
	})
}

// judgeWanted says why a command cannot be for a state that lasts.
func (s *Service) judgeWanted(cmd gateway.Command) error {
	now := s.now()
	actuator := now.control.actuators[cmd.Device]
	switch lane, owned := now.config.childDevices()[cmd.Device]; {
	case cmd.Device == ownDevice:
		return errors.New("the gateway itself has no outputs")
	case owned:
		return fmt.Errorf("device %s belongs to the child with lane %s", cmd.Device, lane)
	case actuator == nil:
		return fmt.Errorf("there is no device %q that takes commands", cmd.Device)
	}
	actions := actuator.Actions()
	if actions == nil {
		return nil // it is not known what it can do; its worker finds out
	}
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == cmd.Action })
	switch {
	case i < 0:
		return fmt.Errorf("device %s has no action %q", cmd.Device, cmd.Action)
	case !actions[i].Idempotent:
		return fmt.Errorf("%s is not idempotent, so it brings about no state that lasts; send it as a command", cmd.Action)
	}
	return actions[i].Check(cmd.Args)
}
