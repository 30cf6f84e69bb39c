package iothub

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// storage takes files in blocks.
//
// Source: Microsoft, "Blob service REST API": Put Block, Put Block List, Get
// Block List, and its error codes.
type storage struct{ web web }

const (
	storageVersion = "2020-10-02"
	// maxBlockListBytes is 50,000 blocks, twice, with ids of 64 bytes.
	maxBlockListBytes = 16 << 20
)

var portForm = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)

// request is one to the blob of a ticket.
func (s storage) request(ctx context.Context, method string, t upload.Ticket, query string, body io.Reader, size int64) (*http.Request, error) {
	path := escape(t.Container)
	for segment := range strings.SplitSeq(t.Blob, "/") {
		path += "/" + escape(segment)
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://"+t.Host+"/"+path+"?"+t.Token+query, body)
	if err != nil {
		return nil, errors.New("the URL of the storage is malformed") // it would tell the token
	}
	r.ContentLength = size
	if size == 0 {
		r.Body = http.NoBody
	}
	r.Header.Set("x-ms-version", storageVersion)
	return r, nil
}

// Put sends one block. It is not read into memory.
func (s storage) Put(ctx context.Context, t upload.Ticket, id string, body io.Reader, size int64) error {
	r, err := s.request(ctx, http.MethodPut, t, "&comp=block&blockid="+url.QueryEscape(blockID(id)), body, size)
	if err != nil {
		return err
	}
	return s.expect(http.StatusCreated, "put a block", r)
}

func blockID(id string) string { return base64.StdEncoding.EncodeToString([]byte(id)) }

// Commit makes the blob of its blocks.
func (s storage) Commit(ctx context.Context, t upload.Ticket, ids []string, c upload.Content) error {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<BlockList>")
	for _, id := range ids {
		b.WriteString("<Latest>" + blockID(id) + "</Latest>")
	}
	b.WriteString("</BlockList>")
	r, err := s.request(ctx, http.MethodPut, t, "&comp=blocklist", &b, int64(b.Len()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/xml")
	if c.Type != "" {
		r.Header.Set("x-ms-blob-content-type", c.Type)
	}
	if len(c.MD5) > 0 {
		r.Header.Set("x-ms-blob-content-md5", base64.StdEncoding.EncodeToString(c.MD5))
	}
	return s.expect(http.StatusCreated, "commit the blocks", r)
}

// Blocks lists what the storage has, committed or not.
func (s storage) Blocks(ctx context.Context, t upload.Ticket) (map[string]int64, error) {
	r, err := s.request(ctx, http.MethodGet, t, "&comp=blocklist&blocklisttype=all", nil, 0)
	if err != nil {
		return nil, err
	}
	a, err := s.web.ask(r, maxBlockListBytes)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound && a.header.Get("x-ms-error-code") == "BlobNotFound":
		return map[string]int64{}, nil // there is none yet
	case a.status != http.StatusOK:
		return nil, storageRefusal("list the blocks", r.URL.Host, a)
	}
	blocks, err := parseBlocks(a.body)
	if err != nil {
		return nil, fmt.Errorf("%s: its list of blocks: %w", r.URL.Host, err)
	}
	return blocks, nil
}

// parseBlocks reads the answer to Get Block List.
func parseBlocks(body []byte) (map[string]int64, error) {
	type block struct {
		Name string
		Size int64
	}
	var list struct {
		XMLName     xml.Name `xml:"BlockList"`
		Committed   []block  `xml:"CommittedBlocks>Block"`
		Uncommitted []block  `xml:"UncommittedBlocks>Block"`
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	blocks := map[string]int64{}
	for _, b := range append(list.Committed, list.Uncommitted...) { // the later ones count
		id, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b.Name))
		if err != nil {
			return nil, fmt.Errorf("block %.80q: %w", b.Name, err)
		}
		blocks[string(id)] = b.Size
	}
	return blocks, nil
}

// expect makes a request whose success has one status.
func (s storage) expect(status int, what string, r *http.Request) error {
	a, err := s.web.ask(r, maxAnswerBytes)
	if err != nil {
		return err
	}
	if a.status != status {
		return storageRefusal(what, r.URL.Host, a)
	}
	return nil
}

// storageRefusal says what an answer of the storage means.
func storageRefusal(what, host string, a response) error {
	code := a.header.Get("x-ms-error-code")
	err := fmt.Errorf("storage %s: %s: HTTP status %d %s", host, what, a.status, excerpt(code))
	switch {
	case a.status == http.StatusBadRequest && code == "InvalidBlockList":
		return fmt.Errorf("%w: %w", err, upload.ErrBlocks)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden, a.status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", err, upload.ErrTicket)
	case a.status == http.StatusBadRequest, a.status == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	return a.later(err)
}
