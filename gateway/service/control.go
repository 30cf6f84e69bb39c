package service

import (
	"context"
	"maps"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/rules"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

// control is what acts on the devices: all that decides about commands and carries
// them out.
type control struct {
	dispatcher *command.Dispatcher
	actuators  map[gateway.DeviceID]gateway.Actuator
	scenes     *scene.Set
	rules      *rules.Engine
	stage      *stage
	// deciding is what makes commands by itself, and stops first.
	deciding *stage
	policy   *policy.Policy
	guarding *stage // runs policy, and stops last
}

// Commands that wait may take this part of queue.max_bytes, and so many bytes at most:
// the engine of the store needs memory for what it has written of late.
const (
	waitingShare    = 8
	maxWaitingBytes = 16e6
)

// newControl makes the control of the devices of an assembly.
func (s *Service) newControl(a *assembly) (*control, error) {
	devices, scenes, err := s.commanded(a)
	if err != nil {
		return nil, err
	}
	dispatcher, err := command.NewDispatcher(command.Options{
		Journal: s.queue.Journal(), Queue: s.queue, Clock: s.clock, Boot: s.clock.Boot(), Health: s.health, Log: s.log, Devices: devices,
	})
	if err != nil {
		return nil, err
	}
	c := &control{dispatcher: dispatcher}
	return c, s.complete(c, a, scenes, devices.Actuators)
}

// complete makes what decides, which enters by the dispatcher.
func (s *Service) complete(c *control, a *assembly, scenes *scene.Set, actuators map[gateway.DeviceID]gateway.Actuator) (err error) {
	scenes.Connect(c.dispatcher)
	c.scenes, c.actuators, c.policy = scenes, actuators, a.policy
	c.rules, err = s.newRules(a, c.dispatcher, actuators)
	return err
}

// succeed makes the control of another assembly, by the dispatcher of the one before,
// which must not decide any more. The devices are those that commands are for then.
func (s *Service) succeed(before *control, after *assembly) (c *control, devices command.Devices, err error) {
	if after.policy, err = s.newPolicy(after); err != nil {
		return nil, devices, err
	}
	now := s.now()
	stays := func(id gateway.DeviceID) bool { return now.keeper(id) == after.keeper(id) }
	after.policy.Inherit(before.policy, stays)
	devices, scenes, err := s.commanded(after)
	if err != nil {
		return nil, devices, err
	}
	c = &control{dispatcher: before.dispatcher, stage: before.stage}
	if err := s.complete(c, after, scenes, devices.Actuators); err != nil {
		return nil, devices, err
	}
	c.rules.Inherit(before.rules, func(id gateway.DeviceID) ([]gateway.DeviceID, bool) { return now.remains(id, after) })
	return c, devices, nil
}

// remains are the devices of a target of commands, a device or a group, that stay at
// work in the assembly after this one; whole is that all of it is the same there.
func (a *assembly) remains(target gateway.DeviceID, after *assembly) (devices []gateway.DeviceID, whole bool) {
	members, isGroup := a.config.Groups[string(target)]
	if !isGroup {
		if a.keeper(target) != after.keeper(target) {
			return nil, false
		}
		return []gateway.DeviceID{target}, true
	}
	whole = slices.Equal(members, after.config.Groups[string(target)])
	for _, m := range members {
		some, all := a.remains(gateway.DeviceID(m), after)
		devices, whole = append(devices, some...), whole && all
	}
	return devices, whole
}

// commanded are the devices of an assembly as commands see them, and its scenes.
func (s *Service) commanded(a *assembly) (command.Devices, *scene.Set, error) {
	actuators := map[gateway.DeviceID]gateway.Actuator{ownDevice: itself{s}}
	labels := make(map[gateway.DeviceID]string)
	var sensors []gateway.DeviceID
	for _, d := range a.devices {
		labels[d.id] = d.spec.label()
		if d.actuator != nil {
			actuators[d.id] = d.actuator
		} else {
			sensors = append(sensors, d.id)
		}
	}
	scenes, err := s.newScenes(a, maps.Clone(actuators))
	if err != nil {
		return command.Devices{}, nil, err
	}
	maps.Copy(actuators, scenes.Actuators())
	return command.Devices{
		Actuators: actuators, Labels: labels, Sensors: sensors, Children: a.config.childDevices(), Policy: a.policy, Timeout: a.config.Commands.Timeout,
		MaxWaiting: a.config.Commands.MaxWaiting, MaxWaitingBytes: int(min(a.config.Queue.MaxBytes/waitingShare, maxWaitingBytes)), ClockWait: a.config.Commands.ClockWait,
	}, scenes, nil
}

func (c *control) start(ctx context.Context, report func(error)) {
	c.stage = newStage(ctx, "commands", report)
	c.stage.start(c.dispatcher.Run)
	c.decide(ctx, report)
}

// decide starts what watches over the outputs, and what makes commands by itself.
func (c *control) decide(ctx context.Context, report func(error)) {
	c.guarding = newStage(ctx, "policy", report)
	c.guarding.start(c.policy.Run)
	c.deciding = newStage(ctx, "rules", report)
	c.deciding.start(c.rules.Run)
}

func (c *control) stop() {
	c.deciding.stop()
	c.stage.stop()
	c.guarding.stop()
}
