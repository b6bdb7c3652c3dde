package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
)

const (
	// maxRetryAfter bounds what a service can ask for.
	maxRetryAfter = 24 * time.Hour
	// excerptBytes is how much of an answer's body an error shows.
	excerptBytes = 512
)

// isSuccess says whether a status completes the job.
func isSuccess(status int) bool { return status >= 200 && status < 300 }

// isRefusal says whether a status says that the same request will never do.
func isRefusal(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// judge turns an answer other than success into a verdict. To repeat a
// redirected request costs little; to discard it would lose every job that
// comes before somebody has changed the configuration.
func (h *httpHandler) judge(response *http.Response, body []byte) error {
	err := h.answered(response, body)
	if isRefusal(response.StatusCode) {
		return understudy.Discard(err)
	}
	if delay := retryAfter(response.Header, time.Now()); delay > 0 {
		return understudy.RetryAfter(delay, err)
	}
	return err
}

// answered describes an answer: its status, where it redirects to, and how its
// body starts.
func (h *httpHandler) answered(response *http.Response, body []byte) error {
	text := fmt.Sprintf("POST %s: %d %s", safeURL(h.url), response.StatusCode, http.StatusText(response.StatusCode))
	text = strings.TrimSpace(text)
	if location := redirectsTo(response); location != "" {
		return fmt.Errorf("%s: redirects to %s, which is not followed: set url to where the service is", text, location)
	}
	if excerpt := readable(body[:min(len(body), excerptBytes)]); excerpt != "" {
		return fmt.Errorf("%s: %s", text, excerpt)
	}
	return errors.New(text)
}

// redirectsTo is where a redirect points; empty for any other answer.
func redirectsTo(response *http.Response) string {
	location, err := response.Location()
	if err != nil || response.StatusCode < 300 || response.StatusCode >= 400 {
		return ""
	}
	return safeURL(location)
}

// retryAfter is the delay that an answer asks for, in seconds or as a date
// (RFC 9110, section 10.2.3); zero if it asks for none, or for a time that has
// passed. A date is compared with the answer's own, as clocks differ.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return max(0, min(until.Sub(now), maxRetryAfter))
}

// broken is the error of a request without a whole answer: the cause of the
// job's context if that has ended, else one that lets the job run again.
func (h *httpHandler) broken(ctx, limited context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if limited.Err() != nil {
		err = context.Cause(limited)
	}
	// net/http wraps its errors with the URL, query included.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("POST %s: %w", safeURL(h.url), err)
}
