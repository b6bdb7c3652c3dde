package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// endTimeout is how long a worker may take from SIGTERM to its end before it is
// killed: a drain timeout, and time to spare.
const endTimeout = drainTimeout + 10*time.Second

// cluster is the stage on this machine: its pods are worker processes.
type cluster struct {
	program  string   // the executable
	config   string   // the workers' configuration file
	dir      string   // where pods' files and logs are
	environ  []string // of the workers
	started  time.Time
	probes   *http.Client
	services map[string]*service // by role
	recorder *recorder
	clock    func(ctx context.Context) (time.Time, error) // the database's
	say      func(format string, args ...any)
	fail     func(err error) // ends the demo

	mu      sync.Mutex
	pods    []*pod
	watches sync.WaitGroup
}

// newProbes makes the client for readiness probes: each a connection of its own.
func newProbes() *http.Client {
	return &http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
}

// Create makes a pod and starts its worker.
func (c *cluster) Create(ctx context.Context, r *rollout.Revision, role string) (rollout.Replica, error) {
	name := fmt.Sprintf("understudy-%s-%s", r.Hash, randomName(5))
	log, err := newWorkerLog(logPath(c.dir, name))
	if err != nil {
		return nil, err
	}
	p := &pod{revision: r, name: name, volume: kubelet.New(filepath.Join(c.dir, name)), log: log, cluster: c, stint: noStint}
	c.mu.Lock()
	c.pods = append(c.pods, p)
	c.mu.Unlock()
	return p, p.born(ctx, role)
}

// Route makes the Service of a role lead to a pod: each revision has one.
func (c *cluster) Route(role string, to []rollout.Replica) {
	p := to[0].(*pod)
	s := c.services[role]
	s.lead(p.log.address)
	c.say("the %s Service, %s, leads to %s", role, s.url(), p.revision.Version)
}

// watch runs f until it returns; end waits for it.
func (c *cluster) watch(f func()) { c.watches.Go(f) }

// all are the pods, those that have ended too.
func (c *cluster) all() []*pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pods)
}

// pod is the last pod of a revision.
func (c *cluster) pod(r *rollout.Revision) *pod {
	var last *pod
	for _, p := range c.all() {
		if p.revision == r {
			last = p
		}
	}
	return last
}

// end ends every worker in order: SIGTERM, a drain, and SIGKILL for those that
// do not end. It is an error if there are any.
func (c *cluster) end() error {
	pods := c.all()
	for _, p := range pods {
		p.Terminate()
	}
	deadline := time.Now().Add(endTimeout)
	var errs []error
	for _, p := range pods {
		if !p.await(time.Until(deadline)) {
			errs = append(errs, fmt.Errorf("the worker of version %s did not end within %s of SIGTERM and was killed", p.revision.Version, endTimeout))
		}
	}
	c.watches.Wait()
	for _, p := range pods {
		errs = append(errs, p.log.close())
	}
	return errors.Join(errs...)
}

// tell prints how the workers' logs end.
func (c *cluster) tell() {
	for _, p := range c.all() {
		c.say("the log of version %s, %s, ends:\n%s", p.revision.Version, p.name, p.log.last())
	}
}

// The letters of Kubernetes' generated names, without those that look alike or
// spell words (k8s.io/apimachinery/pkg/util/rand).
const nameLetters = "bcdfghjklmnpqrstvwxz2456789"

// randomName is a random part of a name.
func randomName(length int) string {
	random := make([]byte, length)
	_, _ = rand.Read(random) // never fails, since Go 1.24
	var name strings.Builder
	for _, b := range random {
		name.WriteByte(nameLetters[int(b)%len(nameLetters)])
	}
	return name.String()
}
