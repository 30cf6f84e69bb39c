package config

import "log/slog"

// Secret is a config value that must not be printed. Only Reveal gives it away.
type Secret string

const redacted = "(secret)"

// Reveal returns the value itself, to be handed to whom it is meant for.
func (s Secret) Reveal() string { return string(s) }

// String hides the value from %v and %s.
func (s Secret) String() string { return redacted }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
