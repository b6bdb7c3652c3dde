package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// guard asks for the token on every path but the open ones, so that a path
// which nobody thought of is guarded too. Programs send it as a bearer token,
// people through the login, whose page they are shown. Where there is no token,
// it keeps out what other sites can make of a browser on this machine.
func (s *site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.isOpen(r):
			next.ServeHTTP(w, r)
		case s.Token != nil:
			s.admit(w, r, next)
		case s.strange(r):
			Refuse(w, r, http.StatusForbidden, fmt.Sprintf("refused: any site could make the name %q lead here: add it to http.hosts, or set http.token_file, or ask for an address, localhost or the Service's name", Short(withoutPort(r.Host))))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *site) admit(w http.ResponseWriter, r *http.Request, next http.Handler) {
	token, err := s.token()
	switch {
	case err != nil:
		s.noToken(w, r, err)
	case bears(r, token), loggedIn(r, token):
		next.ServeHTTP(w, r.WithContext(withVisit(r.Context(), &visit{site: s, request: r, session: !bears(r, token)})))
	case r.Method == http.MethodGet && WantsPage(r) && r.Header.Get("Authorization") == "":
		http.Redirect(w, r, "/login?next="+url.QueryEscape(local(r.URL.RequestURI())), http.StatusSeeOther)
	default:
		why := "a bearer token is needed: send the one in http.token_file"
		if r.Header.Get("Authorization") != "" {
			if !s.slowed(w, r, "a request with a wrong token") {
				return
			}
			why = "that is not the bearer token in http.token_file"
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="understudy"`)
		Refuse(w, r, http.StatusUnauthorized, why)
	}
}

// noToken lets nobody in, and says where it lies.
func (s *site) noToken(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.Error("http.token_file cannot be used, and nobody is let in", "err", err)
	Refuse(w, r, http.StatusServiceUnavailable, "http.token_file cannot be used, and so nobody is let in: the log says why")
}

// visit is a request that was let in by the token.
type visit struct {
	site    *site
	request *http.Request
	session bool // by a login
}

type visitKey struct{}

func withVisit(ctx context.Context, v *visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// hasSession says whether the request is of somebody who logged in, and so can
// log out.
func hasSession(ctx context.Context) bool {
	v, ok := ctx.Value(visitKey{}).(*visit)
	return ok && v.session
}

// stillAdmitted says whether the request would be let in now: one that lasts may
// outlive its token.
func stillAdmitted(ctx context.Context) bool {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		return true // no token was asked for
	}
	token, err := v.site.token()
	return err == nil && (bears(v.request, token) || loggedIn(v.request, token))
}

// token is the token of now. An empty one would let everybody in.
func (s *site) token() (string, error) {
	token, err := s.Token()
	if err != nil {
		return "", err
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", errors.New("it is empty: write a token to it")
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
