package iothub

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/fieldpost/fieldpost/gateway"
)

// mergePatch is target after a JSON merge patch (RFC 7396), in which null
// removes a member. Neither argument is changed.
func mergePatch(target, patch map[string]any) map[string]any {
	merged := make(map[string]any, len(target))
	for name, value := range target {
		merged[name] = value
	}
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(merged, name)
		case isObject:
			before, _ := merged[name].(map[string]any)
			merged[name] = mergePatch(before, inner)
		default:
			merged[name] = value
		}
	}
	return merged
}

// mergeDiff is the smallest merge patch that makes to of from; it is empty if
// they are the same. Neither may hold a null.
func mergeDiff(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range from {
		if _, kept := to[name]; !kept {
			patch[name] = nil
		}
	}
	for name, value := range to {
		before, had := from[name]
		if had && reflect.DeepEqual(before, value) {
			continue
		}
		old, wasObject := before.(map[string]any)
		object, isObject := value.(map[string]any)
		if wasObject && isObject {
			value = mergeDiff(old, object)
		}
		patch[name] = value
	}
	return patch
}

// plain is an object as a hub would give it back: of JSON's types, and without
// members that are null, which a merge patch cannot set.
func plain(v map[string]any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("it has no JSON form: %w: %w", err, gateway.ErrInvalid)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("it is no object: %w: %w", err, gateway.ErrInvalid)
	}
	return withoutNulls(object), nil
}

func withoutNulls(object map[string]any) map[string]any {
	kept := make(map[string]any, len(object))
	for name, value := range object {
		if inner, ok := value.(map[string]any); ok {
			value = withoutNulls(inner)
		}
		if value != nil {
			kept[name] = value
		}
	}
	return kept
}
