package scene_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

func with(s scene.StepConfig, change func(*scene.StepConfig)) scene.StepConfig {
	change(&s)
	return s
}

func TestCheck(t *testing.T) {
	level := func(v gateway.Value) scene.StepConfig {
		return with(do("a", "set"), func(s *scene.StepConfig) { s.Args = map[string]gateway.Value{"level": v} })
	}
	onlyIf := func(text string) scene.StepConfig {
		return with(do("a", "set"), func(s *scene.StepConfig) { s.OnlyIf = text })
	}
	group := func(name string, members ...string) scene.Config {
		return scene.Config{Groups: map[string][]string{name: members}}
	}
	known := newRig(t).known()
	known.Devices = append(known.Devices, "gateway", "lamp", "unmade")
	known.Actions["lamp"] = []gateway.Action{{Name: "shine"}}
	known.Actions["unmade"] = nil
	for want, c := range map[string]scene.Config{
		`scenes[night].steps[0].device: there is nothing named "lamb" that takes commands (did you mean lamp?); want one of a, b, c, lamp, night, unmade`: steps(do("lamb", "set")),
		`scenes[night].steps[0].device: there is nothing named "tank" that takes commands, but tank takes none; want one of`:                              steps(do("tank", "set")),
		`scenes[night].steps[0].action: a has no action "jump"; it has set, pulse, fail`:                                                                  steps(do("a", "jump")),
		`scenes[night].steps[0].args: set: level: 101 is not allowed, want number ≤ 100: denied`:                                                          steps(level(gateway.Number(101))),
		`scenes[night].steps[0].args: set: level: full is not allowed`:                                                                                    steps(level(gateway.Text("full"))),
		`scenes[night].steps[0].undo.action: a has no action "jump"`: steps(with(do("a", "set"), func(s *scene.StepConfig) {
			s.OnFailure, s.Undo = "undo", &scene.UndoConfig{Action: "jump"}
		})),
		`scenes[night].steps[0].only_if: tank has no "leve"; it has level, open`:          steps(onlyIf("tank.leve > 1")),
		`scenes[night].steps[0].only_if: there is no device "tonk" for tonk.level`:        steps(onlyIf("tonk.level > 1")),
		`scenes[night].steps[0].only_if: is a number; want a condition`:                   steps(onlyIf("tank.level + 1")),
		`scenes[night].steps[0].only_if: invalid operation: > (mismatched types bool and`: steps(onlyIf("tank.open > 1")),
		`groups.all: has 0 devices; want 1 to 64`:                                         group("all"),
		`groups.all[1]: "a" stands there twice`:                                           group("all", "a", "a"),
		`groups.all[0]: there is nothing named "tank" that takes commands`:                group("all", "tank"),
		`groups.all: its devices have no action in common`:                                group("all", "a", "lamp"),
		`groups.a: "a" is the name of a device too; want a unique one`:                    group("a", "b"),
		`groups.gateway: "gateway" is the name of a device too`:                           group("gateway", "b"),
		`groups.a b: want a name of up to 63 letters`:                                     group("a b", "b"),
		`scenes[night]: it would never end: night → night`:                                steps(do("night", "run")),
		`groups.all: it would never end: all → night → lights → all`: {
			Groups: map[string][]string{"all": {"a", "night"}, "lights": {"b", "all"}},
			Scenes: steps(do("c", "set"), do("lights", "run")).Scenes,
		},
		`groups.all: it would never end: all → b → all`: { // beside another circle, within a scene
			Groups: map[string][]string{"all": {"night", "b"}, "b": {"all"}},
			Scenes: []scene.Plan{{ID: "night", Steps: []scene.StepConfig{do("x", "run")}}, {ID: "x", Steps: []scene.StepConfig{do("x", "run")}}},
		},
		`groups.g0: it comes to more than 1000 commands, with what is in it; want fewer`: {Groups: doubling(60)},
		`scenes[1].id: "night" is the name of another scene too`:                         {Scenes: slices.Concat(steps(do("a", "set")).Scenes, steps(do("b", "set")).Scenes)},
	} {
		if err := scene.Check(c, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	right := scene.Config{
		Groups: map[string][]string{"two": {"a", "b"}, "more": {"two", "c"}, "later": {"unmade", "a"}},
		Scenes: steps(do("more", "set"), do("later", "anything"), level(gateway.Number(-3)), onlyIf("tank.level > 1 and lamp.on"), pause(time.Second)).Scenes,
	}
	if err := scene.Check(right, known); err != nil {
		t.Error(err)
	}
}

// doubling are groups of which each has the next twice, by two names.
func doubling(n int) map[string][]string {
	groups := make(map[string][]string)
	for i := range n {
		groups[fmt.Sprintf("g%d", i)] = []string{fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)}
		next := fmt.Sprintf("g%d", i+1)
		groups[fmt.Sprintf("x%d", i)], groups[fmt.Sprintf("y%d", i)] = []string{next}, []string{next}
	}
	groups[fmt.Sprintf("g%d", n)] = []string{"a"}
	return groups
}

// TestActions of groups and scenes are found in a config with circles, too.
func TestActions(t *testing.T) {
	known := newRig(t).known()
	groups := doubling(60)
	groups["two"], groups["ring"] = []string{"a", "b"}, []string{"ring"}
	all := scene.Actions(scene.Config{Groups: groups, Scenes: steps(do("two", "set"), do("ring", "set")).Scenes}, known)
	if len(all["two"]) == 0 || len(all["night"]) != 1 || all["ring"] != nil || all["g0"] != nil {
		t.Errorf("two %v, night %v, ring %v, g0 %v", all["two"], all["night"], all["ring"], all["g0"])
	}
}

func TestValidate(t *testing.T) {
	undo := with(do("a", "set"), func(s *scene.StepConfig) { s.Undo = &scene.UndoConfig{Action: "set"} })
	onFailure := with(do("a", "set"), func(s *scene.StepConfig) { s.OnFailure = "undo" })
	for want, list := range map[string][]scene.StepConfig{
		"steps: 0 are given; want 1 to 64":                                                            {},
		"steps: 65 are given; want 1 to 64":                                                           slices.Repeat([]scene.StepConfig{do("a", "set")}, 65),
		"within: the pauses alone take 1m0s; want more":                                               {pause(time.Minute)},
		"steps[0].undo: has no effect, since neither this step nor one after it has on_failure: undo": {undo},
		"steps[0].on_failure: neither this step nor one before it has an undo":                        {onFailure, undo, onFailure},
	} {
		if err := steps(list...).Scenes[0].Validate(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for want, s := range map[string]scene.StepConfig{
		"wait: has no place beside":                with(do("a", ""), func(s *scene.StepConfig) { s.Wait = 1 }),
		"device: is missing; want a device":        {Action: "set"},
		"action: is missing; want what a is to do": {Device: "a"},
	} {
		if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if err := steps(undo, onFailure, pause(time.Second)).Scenes[0].Validate(); err != nil {
		t.Error(err)
	}
}

// TestCommonActions: a group can do what each member can, within the bounds of all.
func TestCommonActions(t *testing.T) {
	number := func(least, most float64) gateway.Action {
		return gateway.Action{Name: "set", Idempotent: true, Timeout: time.Second, Args: []gateway.Arg{{Name: "level", Type: gateway.ArgNumber, Min: &least, Max: &most}}}
	}
	mode := func(modes ...string) gateway.Action {
		return gateway.Action{Name: "mode", Args: []gateway.Arg{{Name: "to", Type: gateway.ArgText, OneOf: modes}}}
	}
	kinds := map[gateway.DeviceID][]gateway.Action{
		"a": {number(0, 50), mode("eco", "off"), {Name: "pulse", Timeout: time.Minute, Allowed: []string{"hub", "rule"}}},
		"b": {mode("off", "on"), number(10, 100), {Name: "pulse", Idempotent: true, Allowed: []string{"rule", "local"}}},
		"c": {number(60, 100), mode("on")},
	}
	actions := func(members ...string) []gateway.Action {
		s, err := scene.New(scene.Options{
			Config: scene.Config{Groups: map[string][]string{"g": members}}, Timeout: 10 * time.Second,
			Actions: func(id gateway.DeviceID) []gateway.Action { return kinds[id] },
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.Actuators()["g"].Actions()
	}
	var usages []string
	for _, a := range actions("a", "b") {
		usages = append(usages, a.Name+" "+a.Usage())
		if !a.Resumable || a.Idempotent != (a.Name == "set") {
			t.Errorf("%+v", a)
		}
		if (a.Name == "pulse") != slices.Equal(a.Allowed, []string{"rule"}) {
			t.Errorf("%s is allowed for %v", a.Name, a.Allowed)
		}
		if want := map[string]time.Duration{"set": 12 * time.Second, "mode": 21 * time.Second, "pulse": 71 * time.Second}[a.Name]; want-a.Timeout != 0 {
			t.Errorf("%s has %v, want %v", a.Name, a.Timeout, want)
		}
	}
	if want := []string{"set [level=10..50]", "mode [to=off]", "pulse "}; !slices.Equal(usages, want) {
		t.Errorf("got %q, want %q", usages, want)
	}
	if list := actions("a", "c"); list == nil || len(list) != 0 {
		t.Errorf("nothing in common: %+v", list)
	}
	if list := actions("a", "gone"); list != nil {
		t.Errorf("not known: %+v", list)
	}
}
