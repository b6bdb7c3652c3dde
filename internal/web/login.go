package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// sessionLength is how long a login holds, unless the token is rotated before.
const sessionLength = 12 * time.Hour

// The session's cookie holds no token, but what only who knows the token can
// make. Its name is the token's too: a browser sends a host's cookies to all of
// its ports, where workers with other tokens may listen.
func sessionCookie(token string) *http.Cookie {
	return &http.Cookie{
		Name: "understudy-" + derive(token, "name")[:8], Value: derive(token, "session"), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func derive(token, what string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("understudy " + what))
	return hex.EncodeToString(mac.Sum(nil))
}

func loggedIn(r *http.Request, token string) bool {
	want := sessionCookie(token)
	given, err := r.Cookie(want.Name)
	return err == nil && same(given.Value, want.Value)
}

type sessionKey struct{}

func withSession(ctx context.Context) context.Context {
	return context.WithValue(ctx, sessionKey{}, true)
}

// hasSession says whether the request is of somebody who logged in, and so can
// log out.
func hasSession(ctx context.Context) bool { return ctx.Value(sessionKey{}) != nil }

// loginForm is what the login's page shows.
type loginForm struct {
	Next    string // where to go then
	Problem string
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	if s.Token == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	s.askToken(w, r, http.StatusOK, loginForm{Next: next})
}

func (s *site) askToken(w http.ResponseWriter, r *http.Request, code int, form loginForm) {
	ownPages.Serve(w, r, s.Log, code, "login", Page{Title: "Log in", Data: form})
}

// login lets somebody in who knows the token.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	next := local(r.PostFormValue("next"))
	if s.Token == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	token, err := s.token()
	switch {
	case err != nil:
		Fail(w, r, s.Log, err)
	case !same(strings.TrimSpace(r.PostFormValue("token")), token):
		s.askToken(w, r, http.StatusUnauthorized, loginForm{Next: next, Problem: "That is not the token in http.token_file."})
	default:
		cookie := sessionCookie(token)
		cookie.MaxAge, cookie.Secure = int(sessionLength.Seconds()), overTLS(r)
		http.SetCookie(w, cookie)
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

// logout takes the cookie back. The session it stands for ends with the token.
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	if s.Token != nil {
		if token, err := s.token(); err == nil {
			cookie := sessionCookie(token)
			cookie.Value, cookie.MaxAge = "", -1
			http.SetCookie(w, cookie)
		}
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// overTLS says whether the browser's side of the connection is encrypted, by
// what a proxy in front says too: all that it can do is to keep the cookie from
// a connection that is not.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// local is a path of this site to go to: whoever made the link that led to the
// login cannot send people elsewhere.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
