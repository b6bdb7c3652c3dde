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
	// answers at a time, and how many with a long answer: all have it in memory, in
	// more than one form.
	formsAtATime, largeAtATime = 16, 4
	// turnPatience is how long a request waits for its turn.
	turnPatience = 5 * time.Second
)

// inTurn calls the route for few requests at a time, where they or their answers
// take memory.
func (r Route) inTurn() http.HandlerFunc {
	switch {
	case r.Long:
		return takingTurns(largeAtATime, r.Serve)
	case r.Method == http.MethodGet:
		return r.Serve // a body is not looked at
	case r.MaxBody > 0:
		return withBody(r.MaxBody, takingTurns(largeAtATime, wholeBody(r.MaxBody, r.Serve)), r.Serve)
	}
	return withBody(maxFormBytes, takingTurns(formsAtATime, wholeBody(maxFormBytes, r.Serve)), r.Serve)
}

// withBody tells requests with a body from those without, and refuses those that
// say how much too long theirs is.
func withBody(limit int64, with, without http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Body == nil || q.Body == http.NoBody:
			without(w, q)
		case q.ContentLength > limit:
			tooLarge(w, q, limit)
		default:
			with(w, q)
		}
	}
}

// takingTurns answers so many requests at a time. The others wait, but not for long.
func takingTurns(atATime int, next http.HandlerFunc) http.HandlerFunc {
	turns := make(chan struct{}, atATime)
	return func(w http.ResponseWriter, q *http.Request) {
		patience := time.NewTimer(turnPatience)
		defer patience.Stop()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next(w, q)
		case <-patience.C:
			w.Header().Set("Retry-After", "5")
			Refuse(w, q, http.StatusServiceUnavailable, "too many requests like this at a time: try again in a while")
		case <-q.Context().Done():
		}
	}
}

// wholeBody calls next with the whole body of a request, which is so small that it
// is read at once. Requests for which the guard wants a token are not read before
// that: the guard stands before the routes. How long reading takes is bounded by
// the server.
func wholeBody(limit int64, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, limit))
		if err != nil {
			unreadable(w, q, err)
			return
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		next(w, q)
	}
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
