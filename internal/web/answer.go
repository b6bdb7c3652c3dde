package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
)

// Text answers with one line. That it cannot be written means that the client
// has gone.
func Text(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, line)
}

// JSON answers with v, which is marshalled before a byte is written.
func JSON(w http.ResponseWriter, r *http.Request, log *slog.Logger, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		Fail(w, r, log, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}

// Refuse says why a request is not done: to a browser on a page, to a program
// on one line.
func Refuse(w http.ResponseWriter, r *http.Request, code int, why string) {
	if !WantsPage(r) {
		http.Error(w, why, code)
		return
	}
	ownPages.Serve(w, r, slog.New(slog.DiscardHandler), code, "refusal", Page{Title: http.StatusText(code) + " · Understudy", Data: refusal{http.StatusText(code), why}})
}

// refusal is what its page shows.
type refusal struct{ Title, Why string }

// ReadForm reads the fields of a request's body into its PostForm. Where they
// cannot be read it answers, and returns false.
func ReadForm(w http.ResponseWriter, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		Refuse(w, r, http.StatusBadRequest, "the form cannot be read: "+err.Error())
		return false
	}
	return true
}

// Fail answers 500 without a word of what went wrong, which goes to the log.
func Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	log.Error("request", "method", r.Method, "path", r.URL.Path, "err", err)
	Refuse(w, r, http.StatusInternalServerError, "internal error: see the log")
}
