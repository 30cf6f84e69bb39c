// Package systemtest runs the real programs as processes of their own, breaks
// them, and judges by what the hub has received.
package systemtest
