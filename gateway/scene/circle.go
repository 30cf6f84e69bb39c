package scene

import (
	"maps"
	"slices"
	"strings"
)

// circles finds groups and scenes that contain themselves, and tells the way.
func (k *checker) circles() {
	parts := make(map[string][]string)
	places := make(map[string]string)
	maps.Copy(parts, k.config.Groups)
	for id := range k.config.Groups {
		places[id] = "groups." + id
	}
	for _, s := range k.config.Scenes {
		for _, step := range s.Steps {
			parts[s.ID] = append(parts[s.ID], step.Device)
		}
		places[s.ID] = "scenes[" + s.ID + "]"
	}
	done := make(map[string]bool)
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		if way := circle(id, nil, parts, done); way != nil {
			k.add(places[way[0]], "it would never end: %s", strings.Join(way, " → "))
			for _, id := range way {
				k.circular[id] = true
			}
		}
	}
}

// circle is a way that leads back to where it began, if one begins with way and id.
func circle(id string, way []string, parts map[string][]string, done map[string]bool) []string {
	if i := slices.Index(way, id); i >= 0 {
		return append(slices.Clone(way[i:]), id)
	}
	if done[id] {
		return nil
	}
	done[id] = true
	for _, part := range parts[id] {
		if c := circle(part, append(slices.Clone(way), id), parts, done); c != nil {
			return c
		}
	}
	return nil
}
