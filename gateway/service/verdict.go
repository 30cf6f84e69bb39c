package service

import (
	"fmt"
	"strings"
)

// Verdict is what became of the settings that the hub asks for.
type Verdict struct {
	// Version of the desired properties that it is about.
	Version int64         `json:"version"`
	Status  VerdictStatus `json:"status"`
	// Probation is true until the settings in force have proved themselves.
	Probation bool `json:"probation,omitempty"`
	// By is the command whose settings are in force if the status is overridden.
	By string `json:"by,omitempty"`
	// Errors say why the status is not applied.
	Errors []string `json:"errors,omitempty"`
}

// VerdictStatus is what became of settings.
type VerdictStatus string

// The statuses. Rejected settings have changed nothing; what was rolled back
// has been in force and did harm; in place of what is overridden, a later command has
// set others.
const (
	SettingsApplied    VerdictStatus = "applied"
	SettingsRejected   VerdictStatus = "rejected"
	SettingsRolledBack VerdictStatus = "rolled-back"
	SettingsOverridden VerdictStatus = "overridden"
)

// Bounds of what the verdict says.
const (
	maxVerdictErrors = 8
	maxVerdictText   = 300
)

func rejected(version int64, faults []string) Verdict {
	v := Verdict{Version: version, Status: SettingsRejected}
	for i, fault := range faults {
		if i == maxVerdictErrors {
			v.Errors = append(v.Errors, fmt.Sprintf("and %d more", len(faults)-i))
			break
		}
		v.Errors = append(v.Errors, shorten(fault, maxVerdictText))
	}
	return v
}

// shorten cuts s to at most limit bytes, and never within a character.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
