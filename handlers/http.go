package handlers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-worker/understudy"
)

// httpHandler works a job by POSTing its arguments to a URL. The package's
// documentation lists its settings.
type httpHandler struct {
	place   understudy.Place
	url     *url.URL
	header  http.Header
	host    string // of the Host header, if it is not the URL's
	timeout time.Duration
	limit   int
	client  *http.Client
}

// newHTTP makes an httpHandler. It opens nothing yet.
func newHTTP(s *settings, place understudy.Place) understudy.Handler {
	header := headers(s)
	host := header.Get("Host")
	header.Del("Host")
	return &httpHandler{
		place:   place,
		url:     endpoint(s),
		header:  header,
		host:    host,
		timeout: s.duration("timeout", 30*time.Second),
		limit:   s.bytes("max_response_bytes", 1<<20),
		client:  newClient(),
	}
}

// newClient makes a client with connections of its own, so that they can end
// with the epoch. It does not follow redirects: one may turn a POST into a GET
// and lose the body.
func newClient() *http.Client {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 100, // one for each job that may run at a time; the default of 2 reconnects all the time
			IdleConnTimeout:     90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
		},
	}
}

// Close closes the connections that no request uses.
func (h *httpHandler) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Handle sends the job and judges the answer.
func (h *httpHandler) Handle(ctx context.Context, job *understudy.Job) error {
	limited, cancel := limit(ctx, h.timeout, "no whole answer")
	defer cancel()
	request, err := h.request(limited, job)
	if err != nil {
		return h.broken(ctx, limited, err)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return h.broken(ctx, limited, err)
	}
	defer response.Body.Close()
	// One byte more than the limit tells a long body from one that fits.
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(h.limit)+1))
	if err != nil && (ctx.Err() != nil || isSuccess(response.StatusCode)) {
		return h.broken(ctx, limited, err)
	}
	if !isSuccess(response.StatusCode) {
		return h.judge(response, body)
	}
	if len(body) > h.limit {
		leaveLong(job, body, "max_response_bytes", h.limit)
	} else {
		keepResult(job, body)
	}
	return nil
}

// request is the POST of one attempt at a job. Its Idempotency-Key also lets
// net/http try again at once when the server had closed an idle connection.
func (h *httpHandler) request(ctx context.Context, job *understudy.Job) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.String(), bytes.NewReader(arguments(job)))
	if err != nil {
		return nil, err
	}
	request.Host = h.host
	request.Header = h.header.Clone()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", headerValue(idempotencyKey(job)))
	for _, f := range facts(job, h.place) {
		request.Header.Set(f.header(), headerValue(f.value))
	}
	return request, nil
}

// idempotencyKey names a job across attempts and workers. The schema and the
// id alone would not: ids start over when a preview schema is rebuilt, and a
// service that remembers the key would take a new job for an old one.
func idempotencyKey(job *understudy.Job) string {
	return fmt.Sprintf("%s/%d/%d", job.Schema, job.ID, job.CreatedAt.UnixMicro())
}

// limit is the context of one attempt, whose cause says that time was up.
func limit(ctx context.Context, timeout time.Duration, what string) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s within %s", what, timeout))
}
