package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// maxFormBytes is what a small form may have, such as the login's.
	maxFormBytes = 4 << 10
	// formsAtATime and largeAtATime are how many requests with a body one route
	// answers at a time: all have their body in memory, in more than one form.
	formsAtATime, largeAtATime = 16, 4
	// bodyPatience is how long a request waits for its turn.
	bodyPatience = 5 * time.Second
)

// afterBody calls the route with the whole body of a request, which is so small
// that it is read at once. Requests for which the guard wants a token are not read
// before that: the guard stands before the routes. How long reading takes is
// bounded by the server.
func (r Route) afterBody() http.HandlerFunc {
	if r.Method == http.MethodGet {
		return r.Serve // a body is not looked at
	}
	limit, turns := r.MaxBody, make(chan struct{}, largeAtATime)
	if limit == 0 {
		limit, turns = maxFormBytes, make(chan struct{}, formsAtATime)
	}
	return func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Body == nil || q.Body == http.NoBody:
			r.Serve(w, q)
			return
		case q.ContentLength > limit:
			tooLarge(w, q, limit)
			return
		case !takeTurn(q, turns):
			w.Header().Set("Retry-After", "5")
			Refuse(w, q, http.StatusServiceUnavailable, "too many requests with a body at a time: try again in a while")
			return
		}
		defer func() { <-turns }()
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, limit))
		if err != nil {
			unreadable(w, q, err)
			return
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		r.Serve(w, q)
	}
}

// takeTurn waits until the request may be read, but not for long.
func takeTurn(q *http.Request, turns chan<- struct{}) bool {
	patience := time.NewTimer(bodyPatience)
	defer patience.Stop()
	select {
	case turns <- struct{}{}:
		return true
	case <-patience.C:
	case <-q.Context().Done():
	}
	return false
}

func tooLarge(w http.ResponseWriter, q *http.Request, limit int64) {
	w.Header().Set("Connection", "close") // rather than reading on
	Refuse(w, q, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", limit))
}

func unreadable(w http.ResponseWriter, q *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		tooLarge(w, q, large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		Refuse(w, q, http.StatusRequestTimeout, "the request took too long to come")
	default:
		Refuse(w, q, http.StatusBadRequest, "the request cannot be read: "+err.Error())
	}
}
