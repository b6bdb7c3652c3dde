package demo

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/process"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// probeTimeout bounds one readiness probe, as a Kubernetes probe does by default.
const probeTimeout = time.Second

// pod is a worker process with its pod files. Its rollout, the timer of its
// scale-down and the demo's end use it, in any order.
type pod struct {
	revision *rollout.Revision
	name     string
	volume   *kubelet.Volume
	log      *workerLog
	cluster  *cluster

	mu     sync.Mutex
	stint  int              // number of the stint under way
	worker *process.Process // the last one that was started
	ending bool             // its end is wanted: by a signal of the demo's
}

// labels are the pod's labels in a role.
func (p *pod) labels(role string) map[string]string {
	labels := map[string]string{
		"app.kubernetes.io/name":     "understudy",
		"app.kubernetes.io/version":  p.revision.Version,
		"rollouts-pod-template-hash": p.revision.Hash,
	}
	if role != rollout.RoleNone {
		labels["role"] = role
	}
	return labels
}

// write writes the pod's files as they are in a role.
func (p *pod) write(role string) error {
	return p.volume.Write(map[string]string{
		"labels": kubelet.Labels(p.labels(role)),
		"annotations": kubelet.Labels(map[string]string{
			"kubernetes.io/config.seen":   p.cluster.started.UTC().Format(time.RFC3339Nano),
			"kubernetes.io/config.source": "api",
		}),
	})
}

// born writes the first labels and starts the worker.
func (p *pod) born(ctx context.Context, role string) error {
	from, err := p.cluster.clock(ctx)
	if err != nil {
		return err
	}
	if err := p.write(role); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stint = p.cluster.recorder.enter(p.revision, role, from)
	p.cluster.say("%s: a pod starts, %s", p.revision.Version, shownRole(role))
	return p.start()
}

// SetRole writes the role label, and notes when by the database's clock.
func (p *pod) SetRole(ctx context.Context, role string) error {
	from, err := p.cluster.clock(ctx)
	if err != nil {
		return err
	}
	if err := p.write(role); err != nil {
		return fmt.Errorf("write the labels of version %s: %w", p.revision.Version, err)
	}
	to, err := p.cluster.clock(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cluster.recorder.leave(p.stint, to)
	p.stint = p.cluster.recorder.enter(p.revision, role, from)
	if role == rollout.RoleNone {
		p.cluster.say("%s: its role label is gone; the pod runs on", p.revision.Version)
	} else {
		p.cluster.say("%s: its role label is %s", p.revision.Version, role)
	}
	return nil
}

// Ready asks the worker's readiness probe.
func (p *pod) Ready(ctx context.Context) bool {
	address := p.log.address()
	if address == "" {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health/ready", nil)
	if err != nil {
		return false
	}
	response, err := p.cluster.probes.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// logPath is where a pod's log is written.
func logPath(dir, pod string) string { return filepath.Join(dir, pod+".log") }
