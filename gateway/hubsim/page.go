package hubsim

import (
	_ "embed"
	"net/http"
)

//go:embed page.html
var page []byte

// getPage is the live page for people. It uses the routes of this hub alone.
func getPage(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'")
	_, err := w.Write(page)
	return err
}
