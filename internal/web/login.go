package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sessionLength is how long a login holds, unless the token is rotated before.
const sessionLength = 12 * time.Hour

// The session's cookie holds no token, but until when it holds, and what only who
// knows the token can make of that. Its name is the token's too: a browser sends a
// host's cookies to all of its ports, where workers with other tokens may listen.
func sessionCookie(token string, until time.Time) *http.Cookie {
	end := strconv.FormatInt(until.Unix(), 10)
	return &http.Cookie{
		Name: sessionName(token), Value: end + "." + derive(token, "session until "+end), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func sessionName(token string) string { return "understudy-" + derive(token, "name")[:8] }

func derive(token, what string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("understudy " + what))
	return hex.EncodeToString(mac.Sum(nil))
}

func loggedIn(r *http.Request, token string) bool {
	given, err := r.Cookie(sessionName(token))
	if err != nil {
		return false
	}
	end, _, _ := strings.Cut(given.Value, ".")
	seconds, err := strconv.ParseInt(end, 10, 64)
	until := time.Unix(seconds, 0)
	return err == nil && time.Now().Before(until) && same(given.Value, sessionCookie(token, until).Value)
}

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
	ownPages.Serve(w, r, s.Log, code, "login", Page{Title: "Log in · Understudy", Data: form})
}

// login lets somebody in who knows the token.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	if !ReadForm(w, r) {
		return
	}
	next := local(r.PostForm.Get("next"))
	if s.Token == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	token, err := s.token()
	switch {
	case err != nil:
		s.noToken(w, r, err)
	case !same(strings.TrimSpace(r.PostForm.Get("token")), token):
		if !s.slowed(w, r, "a login with a wrong token") {
			return
		}
		s.askToken(w, r, http.StatusUnauthorized, loginForm{Next: next, Problem: "That is not the token in http.token_file."})
	default:
		cookie := sessionCookie(token, time.Now().Add(sessionLength))
		cookie.MaxAge, cookie.Secure = int(sessionLength.Seconds()), overTLS(r)
		http.SetCookie(w, cookie)
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

// logout takes the cookie back from the browser. A copy of it holds until its
// time is up, or the token is rotated.
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	if s.Token != nil {
		if token, err := s.token(); err == nil {
			http.SetCookie(w, &http.Cookie{Name: sessionName(token), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
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

// maxNext is how long a path to go to may be: escaped, it has to fit the form.
const maxNext = 1 << 10

// local is a path of this site to go to: whoever made the link that led to the
// login cannot send people elsewhere.
func local(next string) string {
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
