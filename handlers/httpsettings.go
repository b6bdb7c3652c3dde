package handlers

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-worker/understudy"
)

// endpoint is the URL of an http handler. It may hold secrets: errors show it
// by safeURL.
func endpoint(s *settings) *url.URL {
	const form = `write an absolute URL, such as "http://localhost:3000/jobs"`
	text := s.text("url")
	target, err := url.Parse(text)
	switch {
	case text == "":
		s.wrong("url", "missing: %s", form)
	case err != nil || target.Hostname() == "":
		// Such a text, and url.Parse's error about it, may show a password.
		s.wrong("url", "is no absolute URL: %s", form)
	case target.Scheme != "http" && target.Scheme != "https":
		s.wrong("url", "%s: scheme %q is neither http nor https: %s", safeURL(target), target.Scheme, form)
	}
	return target
}

// safeURL is a URL for people to read, without what may be secret: user,
// password and query, and a path that a / in the password begins.
func safeURL(u *url.URL) string {
	if u.User == nil && strings.Contains(u.Path, "@") {
		return (&url.URL{Scheme: u.Scheme, Host: u.Hostname()}).String()
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// headers are the request headers that the settings add. Errors about them
// name no value: it may be a token.
func headers(s *settings) http.Header {
	given := s.table("headers", `{X-Team: payments}`)
	header := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, canonical := given[name], http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			s.wrong("headers", "%q is no name of a header: use letters, digits and dashes", beginning(name))
		case isReserved(canonical):
			s.wrong("headers."+name, "is set by the worker: remove it")
		case !isFieldValue(value):
			s.wrong("headers."+name, "the value holds a line break or another control character: remove it")
		case header.Values(canonical) != nil:
			s.wrong("headers."+name, "is given twice, in upper and lower case: keep one")
		}
		header.Set(name, value)
	}
	return header
}

// isReserved says whether the worker or the protocol sets a header.
func isReserved(canonical string) bool {
	switch canonical {
	case "Content-Type", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Idempotency-Key":
		return true
	}
	for _, f := range facts(&understudy.Job{}, understudy.Place{}) {
		if f.header() == canonical {
			return true
		}
	}
	return false
}

// isToken says whether a text can name a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for _, c := range []byte(name) {
		alphanumeric := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// beginning is what a text begins with that could name a header. What comes behind
// may be the value of one that was given whole, and a token.
func beginning(text string) string {
	for i := range text {
		if !isToken(text[:i+1]) {
			return text[:i] + "…"
		}
	}
	return text
}

// isFieldValue says whether a text can be a header's value (RFC 9110, section 5.5).
func isFieldValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// headerValue is a fact as a header can carry it: as it is if it is printable
// ASCII, else percent-encoded.
func headerValue(text string) string {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return url.PathEscape(text)
		}
	}
	return text
}
