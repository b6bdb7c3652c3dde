package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy"
)

// isWell checks that the pod answers, is in its first epoch, and has had
// nothing to complain of but for what is expected.
func (p *pod) isWell(expected ...string) {
	t := p.th.t
	t.Helper()
	var status understudy.Status
	if body, err := p.get(t.Context(), "/api/status"); err != nil {
		t.Error(err)
	} else if err := json.Unmarshal(body, &status); err != nil || status.Problem != "" {
		t.Errorf("/api/status: %s, error %v", body, err)
	}
	if body, err := p.get(t.Context(), "/metrics"); err != nil || !bytes.Contains(body, []byte("\nunderstudy_jobs_finished_total{")) {
		t.Errorf("/metrics: %.1000s, error %v", body, err)
	}
	if n := p.epochs(t.Context(), p.th.production()); n != 1 {
		t.Errorf("%d epochs, want one", n)
	}
	for line := range strings.Lines(p.process().output()) {
		p.th.fine(line, expected)
	}
}

// fine checks one line of a log. That something took too long is no wonder where
// the server was slow.
func (th *theatre) fine(line string, expected []string) {
	th.t.Helper()
	const longest = 16 << 10
	var entry struct{ Level, Msg, Error string }
	err := json.Unmarshal([]byte(line), &entry)
	slow := strings.Contains(entry.Error, context.DeadlineExceeded.Error()) && th.production().wasSlow()
	complains := entry.Level != "INFO" && entry.Level != "DEBUG" && !slow
	if err != nil || len(line) > longest || complains && !slices.Contains(expected, entry.Msg) {
		th.t.Errorf("a line of %d bytes in the log: %.500s", len(line), line)
	}
}

func TestWhatIsPostedWithADummyDoesNotCount(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	th.lease = patientLease
	a := th.start("a", "active")
	th.untilServes(a, th.production(), "active")
	enqueued := 0
	for name, c := range inputs {
		id, err := a.post(c.input)
		switch {
		case err == nil:
			th.production().acknowledged(id)
			enqueued++
		case !strings.Contains(err.Error(), "413 ") && !strings.Contains(err.Error(), "431 "): // is too long
			t.Errorf("%s: %v", name, err)
		}
	}
	if enqueued == 0 || enqueued == len(inputs) {
		t.Errorf("%d of %d were taken: want those that are not too long", enqueued, len(inputs))
	}
	th.untilDone(th.production())
	th.untilSQL(th.production(), "plain echo jobs came of it", "SELECT count(*) = $1 AND bool_and(kind = 'echo' AND args = '{}' AND state = 'completed') FROM {schema}.jobs", enqueued)
	a.isWell()
	th.check()
}

// post asks the process for a job, with an input that nobody asked for in the
// query and as the body, and returns the job's id.
func (p *pod) post(in input) (int64, error) {
	query := url.Values{}
	for name, text := range in {
		query.Set(name, text[:min(len(text), 10_000)]) // headers have a limit of their own
	}
	target := url.URL{Scheme: "http", Host: p.process().address(), Path: "/dummy", RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(p.th.t.Context(), http.MethodPost, target.String(), strings.NewReader(in["args"]))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Expect", "100-continue") // a server that does not want the body says so first
	client := http.Client{Timeout: patience, Transport: &http.Transport{ExpectContinueTimeout: patience, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	var made struct{ ID int64 }
	if err = errors.Join(err, json.Unmarshal(body, &made)); err != nil || response.StatusCode != http.StatusCreated {
		return 0, fmt.Errorf("%s: %.500q, error %w", response.Status, body, err)
	}
	return made.ID, nil
}
