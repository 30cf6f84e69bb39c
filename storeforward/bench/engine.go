package main

import (
	"context"
	"fmt"
)

// appender accepts bodies durably.
type appender interface {
	// append returns nil when all bodies are on disk.
	append(bodies [][]byte) error
	close() error
}

// queue is an appender that gives back what it has accepted, in order.
type queue interface {
	appender
	// take reads the n oldest bodies that were not taken yet and acknowledges
	// them; they must be there. The acknowledgement is on disk within
	// ackEvery or ackMost messages, whichever is first.
	take(ctx context.Context, n int) error
	// head reads the oldest body that is not acknowledged, again if need be.
	head(ctx context.Context) ([]byte, error)
}

// The engines that are measured, by the names in the table.
const (
	engineRaw       = "raw"
	engineFieldpost = "fieldpost"
	engineSealed    = "fieldpost+key" // the same with Options.Key
	engineWAL       = "wal"
	engineBolt      = "bbolt"
)

var (
	appenders = []string{engineRaw, engineFieldpost, engineSealed, engineWAL, engineBolt}
	queues    = []string{engineFieldpost, engineSealed, engineWAL, engineBolt}
	// unsealed leaves the encrypted store out where it tells nothing new.
	unsealed = []string{engineRaw, engineFieldpost, engineWAL, engineBolt}
	plain    = []string{engineFieldpost, engineWAL, engineBolt}
)

// openAppender opens, or makes, the store of an engine in dir.
func openAppender(engine, dir string) (appender, error) {
	if engine == engineRaw {
		return openRaw(dir)
	}
	return openQueue(engine, dir)
}

// openQueue is openAppender for the engines that give back what they took.
func openQueue(engine, dir string) (queue, error) {
	switch engine {
	case engineFieldpost:
		return openFieldpost(dir, nil)
	case engineSealed:
		return openFieldpost(dir, []byte("thirty-two bytes of no great use"))
	case engineWAL:
		return openWAL(dir)
	case engineBolt:
		return openBolt(dir)
	}
	return nil, fmt.Errorf("engine %q: want %v", engine, queues)
}
