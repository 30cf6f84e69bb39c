package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

type sendCmd struct {
	Ingest   string   `help:"Socket of the device with driver ingest (socket in its config)." default:"/run/fieldpost/ingest.sock" env:"FIELDPOST_INGEST" type:"path"`
	Device   string   `help:"Device that the readings belong to; the ingest device itself if left out."`
	Unit     string   `help:"Unit of the numbers, a UCUM code such as Cel, m, %, By."`
	Readings []string `arg:"" optional:"" help:"Readings as name=value, together in one message; true, false and numbers are taken as such, quote a text that looks like one: name='\"12\"'. None, or -: NDJSON lines from standard input, each a message."`
	JSON     bool     `help:"Print the answers as they come, as JSON." name:"json"`
}

// Help teaches by example.
func (sendCmd) Help() string {
	return `Examples:
  fieldpost send level=3.2
  fieldpost send --device tank --unit m level=3.2 inflow=0.4
  fieldpost send door=true note='back at noon'
  my-program | fieldpost send -

A line of my-program is one of:
  {"name":"level","value":3.2,"unit":"m"}
  {"readings":[{"name":"level","value":3.2},{"name":"full","value":false}]}`
}

func (c *sendCmd) Run(io streams) error {
	in, err := c.input(io)
	if err != nil {
		return &failure{exitUsage, err}
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("unix", c.Ingest)
	if err != nil {
		return c.explain(err)
	}
	defer conn.Close()
	s := &sending{in: in, conn: conn.(*net.UnixConn), over: make(chan error, 1)}
	go s.send() // it may wait for its input longer than there is somebody to send to
	return c.receive(io, s)
}

// explain says what to do when nobody takes readings.
func (c *sendCmd) explain(err error) error {
	gone := (&client{socket: c.Ingest}).explain(err)
	if errors.Is(err, os.ErrPermission) {
		return gone
	}
	return &failure{exitUnavailable, fmt.Errorf("%w. Its config needs a device with driver: ingest", gone)}
}

// input is what is sent: a line made of the arguments, or standard input.
func (c *sendCmd) input(io streams) (io.Reader, error) {
	if len(c.Readings) > 0 && !slices.Equal(c.Readings, []string{"-"}) {
		line, err := c.line()
		return bytes.NewReader(line), err
	}
	if c.Device != "" || c.Unit != "" {
		return nil, errors.New("--device and --unit are for name=value; lines from standard input have their own")
	}
	if f, ok := io.in.(*os.File); ok && len(c.Readings) == 0 {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return nil, errors.New("nothing to send; give name=value, or - to type JSON lines (see: fieldpost send --help)")
		}
	}
	return io.in, nil
}

// line makes one line of the arguments.
func (c *sendCmd) line() ([]byte, error) {
	values, err := parseArgs(c.Readings)
	if err != nil {
		return nil, err
	}
	type reading struct {
		Device string `json:"device,omitempty"`
		Name   string `json:"name"`
		Value  any    `json:"value"`
		Unit   string `json:"unit,omitempty"`
	}
	var all []reading
	for _, pair := range c.Readings {
		name, _, _ := strings.Cut(pair, "=")
		r := reading{Device: c.Device, Name: name, Value: values[name]}
		if _, isNumber := r.Value.(float64); isNumber {
			r.Unit = c.Unit
		}
		all = append(all, r)
	}
	line, err := json.Marshal(map[string]any{"readings": all})
	return append(line, '\n'), err
}

// sending is the way of the lines to the socket.
type sending struct {
	in    io.Reader
	conn  *net.UnixConn
	lines atomic.Int64 // begun, at least in part
	// over has the outcome once everything is sent, or nothing more can be.
	over chan error
}

func (s *sending) send() {
	_, err := io.Copy(s.conn, io.TeeReader(s.in, &lineCounter{count: &s.lines}))
	s.over <- err
	_ = s.conn.CloseWrite() // after which the answers end; if it fails, they have
}

// lineCounter counts the lines that are written to it.
type lineCounter struct {
	count  *atomic.Int64
	inside bool // of a line
}

func (l *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if !l.inside {
			l.count.Add(1)
		}
		l.inside = b != '\n'
	}
	return len(p), nil
}

// receive prints the answers until the gateway has given all.
func (c *sendCmd) receive(io streams, s *sending) error {
	var answered, refused int64
	answers := bufio.NewReader(s.conn)
	for {
		text, err := answers.ReadBytes('\n')
		if err != nil {
			break
		}
		answered++
		if !c.print(io, text) {
			refused++
		}
	}
	err := errors.New("there is more to send")
	select {
	case err = <-s.over:
	default: // the gateway has left in the middle
	}
	switch lines := s.lines.Load(); {
	case answered < lines:
		err = fmt.Errorf("the connection ended after %d of %d answers, %d of them refusals; send again what has no id", answered, lines, refused)
	case refused > 0:
		err = fmt.Errorf("%d of %d lines refused", refused, answered)
	case err != nil:
		err = fmt.Errorf("all %d lines until here are accepted: %w", lines, err)
	default:
		return nil
	}
	return &failure{exitFailed, fmt.Errorf("%s: %w", c.Ingest, err)}
}

// print shows one answer and tells whether the line was accepted.
func (c *sendCmd) print(io streams, text []byte) bool {
	var answer struct{ ID, Error string }
	if err := json.Unmarshal(text, &answer); err != nil || answer.ID == "" && answer.Error == "" {
		answer.Error = fmt.Sprintf("an answer that cannot be read: %.200q", text)
	}
	switch {
	case c.JSON:
		_, _ = io.out.Write(text)
	case answer.Error != "":
		fmt.Fprintln(io.err, answer.Error)
	default:
		fmt.Fprintln(io.out, answer.ID)
	}
	return answer.Error == ""
}
