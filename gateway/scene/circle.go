package scene

import (
	"maps"
	"slices"
	"strings"
)

// maxCommands bounds what a group or a scene comes to in all, with those in it: so
// many commands may be put on record by one.
const maxCommands = 1000

// parts are what the commands of each group and scene are for.
func (c Config) parts() map[string][]string {
	parts := maps.Clone(c.Groups)
	if parts == nil {
		parts = make(map[string][]string)
	}
	for _, s := range c.Scenes {
		parts[s.ID] = nil
		for _, step := range s.Steps {
			if step.Device != "" {
				parts[s.ID] = append(parts[s.ID], step.Device)
			}
		}
	}
	return parts
}

// endless finds groups and scenes that contain themselves, and tells the way, and
// those that come to too much.
func (k *checker) endless() {
	places := make(map[string]string)
	for id := range k.config.Groups {
		places[id] = "groups." + id
	}
	for _, s := range k.config.Scenes {
		places[s.ID] = "scenes[" + s.ID + "]"
	}
	parts := k.config.parts()
	ids := slices.Sorted(maps.Keys(parts))
	for _, id := range ids {
		if k.unfit[id] {
			continue // it is in a circle that was told
		}
		if way := circle(id, parts); way != nil {
			k.add(places[id], "it would never end: %s", strings.Join(way, " → "))
			for _, id := range way {
				k.unfit[id] = true
			}
		}
	}
	sizes := make(map[string]int)
	for _, id := range ids {
		if !k.unfit[id] && k.size(id, parts, sizes) > maxCommands {
			k.add(places[id], "it comes to more than %d commands, with what is in it; want fewer", maxCommands)
			k.unfit[id] = true
		}
	}
}

// size is how many commands something comes to, or one more than maxCommands.
func (k *checker) size(id string, parts map[string][]string, sizes map[string]int) int {
	if sizes[id] > 0 || k.unfit[id] {
		return max(sizes[id], 1)
	}
	n := 1
	for _, part := range parts[id] {
		n = min(n+k.size(part, parts, sizes), maxCommands+1)
	}
	sizes[id] = n
	return n
}

// circle is the shortest way from an id back to it; nil if there is none.
func circle(id string, parts map[string][]string) []string {
	ways, seen := [][]string{{id}}, make(map[string]bool)
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		for _, part := range parts[way[len(way)-1]] {
			longer := append(slices.Clone(way), part)
			if part == id {
				return longer
			}
			if !seen[part] {
				seen[part] = true
				ways = append(ways, longer)
			}
		}
	}
	return nil
}
