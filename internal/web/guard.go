package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// guard asks for the token on every path but the open ones, so that a path
// which nobody thought of is guarded too. Programs send it as a bearer token,
// people through the login, whose page they are shown.
func (s *site) guard(next http.Handler) http.Handler {
	if s.Token == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		token, err := s.token()
		switch {
		case err != nil:
			Fail(w, r, s.Log, err)
		case bears(r, token):
			next.ServeHTTP(w, r)
		case loggedIn(r, token):
			next.ServeHTTP(w, r.WithContext(withSession(r.Context())))
		case r.Method == http.MethodGet && WantsPage(r):
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="understudy"`)
			Refuse(w, r, http.StatusUnauthorized, "a bearer token is needed: send the one in http.token_file")
		}
	})
}

// token is the token of now. An empty one would let everybody in.
func (s *site) token() (string, error) {
	token, err := s.Token()
	if err != nil {
		return "", err
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", errors.New("http.token_file is empty: write a token to it")
	}
	return token, nil
}

// bears says whether the request carries the token, as RFC 6750 section 2.1
// has it.
func bears(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(given), token)
}

// same compares in a time that tells nothing about how close the two came.
func same(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
