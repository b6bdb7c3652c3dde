package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// guard asks for the token on every path but the open ones, so that a path
// which nobody thought of is guarded too.
func (s *site) guard(open map[string]bool, next http.Handler) http.Handler {
	if s.Token == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		token, err := s.token()
		switch {
		case err != nil:
			s.fail(w, r, err)
		case !bears(r, token):
			w.Header().Set("WWW-Authenticate", `Bearer realm="understudy"`)
			http.Error(w, "a bearer token is needed: send the one in http.token_file", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
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
// has it, in a time that tells nothing about how close it came.
func bears(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// fail answers 500 without a word of what went wrong, which goes to the log.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.Error("request", "method", r.Method, "path", r.URL.Path, "err", err)
	http.Error(w, "internal error: see the log", http.StatusInternalServerError)
}
