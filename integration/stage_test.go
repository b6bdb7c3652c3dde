package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// stage is where the pods of a rollout run: worker processes whose kubelets
// lag, and jobs that flow in production and in preview all the while.
type stage struct {
	*theatre
	flags []string       // of the pods
	flow  func()         // ends the flow of jobs
	steps sync.WaitGroup // of the rollout, that are under way

	mu       sync.Mutex
	cast     map[string][]*pod // by version, in the order of their births
	services map[string]string // the version that each leads to, by role
}

const (
	// replicas is how many pods a version has.
	replicas = 2
	// flowRate is how many jobs a second are enqueued in each place.
	flowRate = 20
	// runOn is how long pods run on before they are scaled down.
	runOn = 2 * time.Second
)

// newStage is a stage in a theatre, on which nobody is lost unless the play
// says so: then it shortens the lease before there are pods.
func newStage(th *theatre, flags ...string) *stage {
	th.lag, th.lease = 300*time.Millisecond, patientLease
	return &stage{theatre: th, flags: flags, cast: map[string][]*pod{}, services: map[string]string{}}
}

// produce lets jobs flow until the end of the play.
func (s *stage) produce(seed uint64, places ...*place) {
	s.flow = s.theatre.produce(flowRate, seed, places...)
}

// part is a pod as its rollout sees it.
type part struct{ *pod }

// Ready is what the kubelet reports: only three probes that fail in a row
// count.
func (p part) Ready(ctx context.Context) bool {
	const probes = 3
	for range probes {
		if p.pod.Ready(ctx) {
			return true
		}
	}
	return false
}

// Create makes a pod with that role from birth.
func (s *stage) Create(_ context.Context, r *rollout.Revision, role string) (rollout.Replica, error) {
	p, err := s.join(r)
	if err != nil {
		return nil, err
	}
	if err := p.label(role); err != nil {
		return nil, err
	}
	return part{p}, p.start()
}

// join makes a pod and takes it into the cast.
func (s *stage) join(r *rollout.Revision) (*pod, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("worker-%s-%d", r.Hash, len(s.cast[r.Version])+1)
	p, err := s.newPod(name, r.Version, r.Hash, s.flags...)
	if err == nil {
		s.cast[r.Version] = append(s.cast[r.Version], p)
	}
	return p, err
}

// Route remembers where the Service leads: workers do not ask it.
func (s *stage) Route(role string, to []rollout.Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, replica := range to {
		s.services[role] = replica.(part).version
	}
}

// routed checks where a Service leads.
func (s *stage) routed(role, version string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.services[role]; got != version {
		s.t.Errorf("the %s Service leads to version %s, want %s", role, got, version)
	}
}

// pods are the last pods of a version: those that an undo replaced have ended.
func (s *stage) pods(version string) []*pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.cast[version]
	return slices.Clone(all[max(0, len(all)-replicas):])
}

// while does a step of the rollout and, before it is over, something else.
func (s *stage) while(step func(ctx context.Context) error, do func()) {
	s.t.Helper()
	done := make(chan error, 1)
	s.steps.Go(func() { done <- step(s.t.Context()) })
	do()
	s.do(<-done)
}

// phase is what the pod's process says that it does, "" when it does not answer.
func (p *pod) phase(ctx context.Context) understudy.Phase {
	var status understudy.Status
	if body, err := p.get(ctx, "/api/status"); err != nil || json.Unmarshal(body, &status) != nil {
		return ""
	}
	return status.Phase
}

// roles are the roles that the pod has had.
func (p *pod) roles() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stint := range p.stints {
		all = append(all, stint.Role)
	}
	return all
}

// role is the pod's role now.
func (p *pod) role() string {
	roles := p.roles()
	return roles[len(roles)-1]
}

// over ends the jobs' flow and proves that all of the play was as it must be.
func (s *stage) over() {
	s.t.Helper()
	s.flow()
	s.untilDone(s.production())
	for _, pl := range s.previews() {
		s.last(pl)
	}
	s.check()
}

// last finishes what waits for a preview that nobody is in any more.
func (s *stage) last(pl *place) {
	s.t.Helper()
	_, hash, _ := strings.Cut(pl.schema, "_")
	p, err := s.newPod("last-of-"+pl.schema, "last", hash, s.flags...)
	s.do(err)
	s.do(p.label(rollout.RolePreview))
	s.do(p.start())
	s.untilServes(p, pl, rollout.RolePreview)
	s.untilDone(pl)
}

// previews are the places that are not production and that somebody has made.
func (s *stage) previews() []*place {
	return slices.DeleteFunc(s.everywhere(), func(pl *place) bool {
		exists, err := pl.exists(s.t.Context())
		s.do(err)
		return !exists || pl == s.production()
	})
}

// inBothLayouts plays a play with both places on one server, and with a server
// for each.
func inBothLayouts(t *testing.T, play func(s *stage)) {
	t.Helper()
	for name, layout := range map[string]func(t *testing.T) *theatre{"one server": onOneServer, "two servers": onTwoServers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(layout(t))
			s.produce(7, s.production(), s.preview())
			play(s)
			s.over()
		})
	}
}
