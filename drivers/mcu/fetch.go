package mcu

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// mostImage bounds a file of firmware, in bytes.
	mostImage = 4 << 20
	// fetchTime bounds the fetching of one, with all attempts and pauses.
	fetchTime = 30 * time.Minute
	// stallTime is for how long nothing may come before an attempt is given up.
	stallTime = time.Minute
	// mostVain is how many attempts in a row may bring nothing new. The pauses between
	// them are random, and grow.
	mostVain   = 10
	fetchPause = time.Second
	mostPause  = time.Minute
)

var (
	errStalled  = errors.New("nothing more has come")
	errTooLong  = fmt.Errorf("it has not come within %v: %w", fetchTime, gateway.ErrTimeout)
	errTooLarge = fmt.Errorf("it has more than %d bytes, so it is no firmware: %w", mostImage, gateway.ErrDenied)
)

// errFinal is a failure that another attempt would meet as well.
type errFinal struct{ error }

func (e errFinal) Unwrap() error { return e.error }

// fetch gets a file by HTTPS, and by nothing else, redirections included.
func (d *Dev) fetch(ctx context.Context, from string) ([]byte, error) {
	if err := onlyHTTPS(from); err != nil {
		return nil, err
	}
	client, err := d.httpClient()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, errTooLong)
	defer cancel()
	return (&download{client: client, from: from, pause: fetchPause, patience: stallTime}).run(ctx)
}

// download is a file on its way.
type download struct {
	client *http.Client
	from   string
	// pause is the first between attempts, patience that for the next bytes.
	pause, patience time.Duration
	// got is what has come of the file that mark stands for. Without a mark the rest
	// cannot be asked for.
	got  []byte
	mark string
}

// run asks for the file, or what is left of it, until it is there, cannot be got, or ctx
// ends.
func (d *download) run(ctx context.Context) ([]byte, error) {
	var why error
	most, pause := 0, d.pause
	for vain := 1; ; vain++ {
		err := d.attempt(ctx)
		if err == nil {
			return d.got, nil
		}
		if why == nil || ctx.Err() == nil {
			why = err
		}
		if len(d.got) > most {
			most, vain, pause = len(d.got), 0, d.pause
		}
		switch {
		case final(err):
			return nil, err
		case vain == mostVain:
			return nil, fmt.Errorf("%w; %d attempts have brought nothing more: check the server and the network of the gateway, then send the command anew", err, vain)
		case await(ctx, pause/2+rand.N(pause)) != nil:
			return nil, fmt.Errorf("%w (%w)", context.Cause(ctx), why)
		}
		pause = min(2*pause, mostPause)
	}
}

// final says that another attempt would not do better.
func final(err error) bool {
	return errors.Is(err, gateway.ErrDenied) || errors.As(err, new(errFinal)) || errors.As(err, new(*tls.CertificateVerificationError))
}

// attempt asks once.
func (d *download) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(d.patience, func() { cancel(errStalled) })
	defer stall.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.from, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", bare(err), gateway.ErrDenied)
	}
	if d.mark == "" {
		d.got = nil
	}
	if len(d.got) > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(d.got)))
		req.Header.Set("If-Range", d.mark)
	}
	resp, err := d.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = d.take(resp, stall)
	}
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = fmt.Errorf("%w for %v", errStalled, d.patience)
	}
	if err != nil {
		return fmt.Errorf("%s: %w%s", req.URL.Host, bare(err), advice(err))
	}
	return nil
}

// take takes in what is answered: all of the file, or what is left of it.
func (d *download) take(resp *http.Response, stall *time.Timer) error {
	size, err := d.begin(resp)
	if err != nil {
		return err
	}
	chunk := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(chunk)
		d.got = append(d.got, chunk[:n]...)
		stall.Reset(d.patience)
		switch {
		case size > mostImage, len(d.got) > mostImage:
			return errTooLarge
		case errors.Is(err, io.EOF) && size >= 0 && int64(len(d.got)) != size:
			return fmt.Errorf("%d bytes have come, not %d", len(d.got), size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the answer breaks off: %w", err)
		}
	}
}

// begin says how large the file is whose bytes come now, behind those of got; -1: that is
// not known.
func (d *download) begin(resp *http.Response) (size int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK: // another file than before, or a server that knows no ranges
		d.got, d.mark = nil, mark(resp.Header)
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		size, right := d.rest(resp.Header)
		if !right {
			d.mark = ""
			return 0, errors.New("the server sends another part of it than was asked for")
		}
		return size, nil
	case http.StatusRequestedRangeNotSatisfiable:
		d.mark = ""
	}
	return 0, refusal(resp.StatusCode)
}

// rest says how large the file is that a part belongs to, and whether that begins where
// what has come ends, and is of the same file.
func (d *download) rest(h http.Header) (size int64, right bool) {
	var first, last int64
	n, _ := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size) // n says how far it is right
	of := mark(h)
	return size, n == 3 && first > 0 && first == int64(len(d.got)) && (of == "" || of == d.mark)
}

// mark is what a file has in common with itself later; empty if it has nothing.
func mark(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) { // others say that it is much the same
		return tag
	}
	return h.Get("Last-Modified")
}

// refusal is what a status other than success means.
func refusal(status int) error {
	err := fmt.Errorf("the server answers %d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errFinal{fmt.Errorf("%w; if the URL is valid for a time alone, send the command with a new one", err)}
	case status == http.StatusNotFound, status == http.StatusGone:
		return errFinal{fmt.Errorf("%w; check the URL", err)}
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests,
		status == http.StatusRequestTimeout, status == http.StatusRequestedRangeNotSatisfiable:
		return err
	default:
		return errFinal{err}
	}
}

// advice is what to do about an error of TLS.
func advice(err error) string {
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return "; check firmware_ca, the name in the URL, and the clock of the gateway"
	}
	return ""
}

// bare is an error of HTTP without the URL, which may hold what opens the storage.
func bare(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

func onlyHTTPS(address string) error {
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("images are fetched by https:// alone: %w", gateway.ErrDenied)
	}
	return nil
}

// httpClient trusts the certificates of the system, or those of the config, and goes
// through the proxy that the gateway goes through.
func (d *Dev) httpClient() (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.config.FirmwareCA != "" {
		pem, err := os.ReadFile(d.config.FirmwareCA)
		if err != nil {
			return nil, fmt.Errorf("firmware_ca: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("firmware_ca: %s has no certificate in PEM: %w", d.config.FirmwareCA, gateway.ErrInvalid)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: func(*http.Request) (*url.URL, error) { return d.proxy(), nil }, OnProxyConnectResponse: passed,
			TLSClientConfig: trust, TLSHandshakeTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
			DisableCompression: true, // parts of what is compressed are parts of nothing
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 5 {
				return errFinal{errors.New("it is redirected without end; check the URL")}
			}
			req.Header.Del("Referer") // it has the first URL, with what opens the storage
			return onlyHTTPS(req.URL.String())
		},
	}, nil
}

// passed says whether the proxy has made the connection.
func passed(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return errFinal{fmt.Errorf("proxy %s does not accept user and password; check them in proxy of the upstream", proxy.Host)}
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("proxy %s does not connect to it: %d %s", proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode))
	default:
		return nil
	}
}
