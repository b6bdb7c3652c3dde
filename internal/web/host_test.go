package web_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/understudy-worker/understudy/internal/web"
)

// TestWhatChangesSomethingIsAskedForByANameThatIsOurs comes from another machine,
// as behind a published port or an Ingress.
func TestWhatChangesSomethingIsAskedForByANameThatIsOurs(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{
		"127.0.0.1":     200,
		"127.0.0.1:80":  200,
		"10.1.2.3:8080": 200,
		"[::1]":         200, "[::1]:8080": 200, "[fd00::7]:8080": 200, "[fe80::1%25eth0]:80": 200,
		"localhost": 200, "localhost:8080": 200, "LocalHost": 200, "localhost.": 200,
		"worker": 200, "worker-active:8080": 200, "WORKER": 200, "worker.": 200,
		"worker.production": 200, "worker.production:8080": 200,
		"worker.production.svc": 200, "Worker.Production.Svc:8080": 200, "pod-0.worker.production.svc": 200,
		"worker.production.svc.cluster.local": 200, "worker.production.svc.cluster.local.:8080": 200,
		"jobs.corp.example.com": 200, "JOBS.corp.example.com:443": 200, "jobs.corp.example.com.": 200,

		"":         403,
		"evil.com": 403, "evil.com:8080": 403, "evil.dev": 403, "evil.example": 403, "evil.test": 403, "evil.local": 403, "evil.internal": 403,
		"rebind.evil.com": 403, "localhost.evil.com": 403, "127.0.0.1.evil.com": 403, "127.0.0.1.nip.io": 403, "jobs.corp.example.com.evil.com": 403,
		"worker.production.svc.evil.com": 403, "svc.cluster.local.evil.com": 403, "xjobs.corp.example.com": 403, "corp.example.com": 403,
		".svc": 403, "..svc": 403, "evil.com@localhost": 403, "evil.com/localhost": 403, "localhost:evil.com": 403, "[evil.com]": 403, "evil..com": 403,
		"evil.com, localhost": 403, "localhost evil.com": 403, "évil.production": 403,
	} {
		s := newSite(web.Options{Hosts: []string{"jobs.Corp.example.com."}})
		r := post("/change")
		r.Host = host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 8080}))
		got := ask(s, r, "X-Forwarded-Host", "localhost", "Forwarded", "host=localhost", "X-Forwarded-For", "127.0.0.1", "Origin", "http://"+host, "Sec-Fetch-Site", "same-origin")
		if got.code != want || (s.changes == 1) != (want == 200) {
			t.Errorf("Host %q: got %d and %d changes, want %d: %s", host, got.code, s.changes, want, got.body)
		}
		if want == 403 {
			mustContain(t, got.body, "http.hosts", "http.token_file")
		}
		look := get("/page")
		look.Host = host
		if got := ask(s, look); got.code != 200 {
			t.Errorf("a look by the name %q: %d", host, got.code)
		}
	}
}

func TestWithATokenAnyNameWillDo(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	r := post("/change")
	r.Host = "jobs.example.com"
	if got := ask(s, r, "Authorization", "Bearer secret"); got.code != 200 {
		t.Errorf("%d %s", got.code, got.body)
	}
}
