package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/tester"
)

// testerPage is the page of a run.
type testerPage struct {
	t      *testing.T
	url    string
	client *http.Client
}

var pageURL = regexp.MustCompile(`open (http://\S+): production and preview side by side`)

// tester is the page that a run has said it serves.
func (r *run) tester() *testerPage {
	r.t.Helper()
	found := pageURL.FindStringSubmatch(r.output.String())
	if found == nil {
		r.t.Fatalf("nothing says where the tester is:\n%s", r.output)
	}
	return &testerPage{r.t, found[1], &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// post sends a form as a program does.
func (p *testerPage) post(path string, form url.Values) (code int, body string) {
	p.t.Helper()
	response, err := p.client.PostForm(p.url+path, form)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(data))
}

func (p *testerPage) begun(verb string) {
	p.t.Helper()
	if code, body := p.post("/stage", url.Values{"verb": {verb}}); code != http.StatusAccepted {
		p.t.Fatalf("%s: %d %s", verb, code, body)
	}
}

func (p *testerPage) refused(verb, want string) {
	p.t.Helper()
	if code, body := p.post("/stage", url.Values{"verb": {verb}}); code != http.StatusConflict || body != want {
		p.t.Errorf("%s: %d %q, want 409 %q", verb, code, body, want)
	}
}

// visit enqueues three jobs that stand in nobody's way: one fails, one runs for
// ever and one has no handler.
func (p *testerPage) visit() {
	p.t.Helper()
	for _, form := range []url.Values{
		{"side": {"production"}, "kind": {"fail"}, "args": {`{"discard": true}`}},
		{"side": {"production"}, "kind": {"sleep"}, "args": {`{"duration": "1h"}`}},
		{"side": {"production"}, "kind": {"nobody's"}},
	} {
		if code, body := p.post("/enqueue", form); code != http.StatusCreated {
			p.t.Fatalf("enqueue %v: %d %s", form, code, body)
		}
	}
}

// pageStatus is the page's JSON, as far as these tests look.
type pageStatus struct {
	Sides [2]struct {
		Schema  string
		Problem *tester.Trouble
	}
	Stage tester.State
}

func (p *testerPage) status() (s pageStatus) {
	p.t.Helper()
	response, err := p.client.Get(p.url + "/api/status")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// steps waits until nothing is under way, and compares how what cannot be done
// is explained with how that is to begin.
func (p *testerPage) steps(want map[string]string) {
	p.t.Helper()
	status := p.status()
	for deadline := time.Now().Add(patience); status.Stage.Doing != "" && time.Now().Before(deadline); status = p.status() {
		time.Sleep(20 * time.Millisecond)
	}
	got := map[string]string{}
	for _, s := range status.Stage.Steps {
		got[s.Verb], _, _ = strings.Cut(s.Why+":", ":")
		if want := want[s.Verb]; want != "" && strings.HasPrefix(s.Why, want) {
			got[s.Verb] = want
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("why steps cannot be done (-want +got):\n%s", diff)
	}
}

func (p *testerPage) roles(want map[string]string) {
	p.t.Helper()
	got := map[string]string{}
	for _, v := range p.status().Stage.Versions {
		got[v.Name] = v.Role
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("roles by version (-want +got):\n%s", diff)
	}
}

// gone sees that nobody answers any more.
func (p *testerPage) gone() {
	p.t.Helper()
	if response, err := p.client.Get(p.url + "/health/live"); err == nil {
		_ = response.Body.Close()
		p.t.Errorf("after the demo's end the page answers with %d", response.StatusCode)
	}
}
