package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/integration/internal/wire"
	"github.com/understudy-worker/understudy/internal/kubelet"
)

// pod is a worker process with its pod files and its wires to the servers. Its
// methods return errors, since rollouts and soaks call them from goroutines.
type pod struct {
	th            *theatre
	name          string
	version, hash string
	program       string   // that its processes run
	flags         []string // win over the usual ones
	single        bool     // each label has a file of its own
	labels        *kubelet.Volume
	secrets       map[string]*kubelet.Volume // by target
	wires         map[string]*wire.Wire      // by target

	mu        sync.Mutex
	stints    []history.Stint
	processes []*worker
}

// newPod makes a pod without labels and without a process.
func (th *theatre) newPod(name, version, hash string, flags ...string) (*pod, error) {
	p := &pod{
		th: th, name: name, version: version, hash: hash, program: th.program, flags: flags,
		labels:  kubelet.New(filepath.Join(th.dir, name, "podinfo")),
		secrets: map[string]*kubelet.Volume{}, wires: map[string]*wire.Wire{},
	}
	for target, place := range th.places {
		w, err := wire.New(place.front)
		if err != nil {
			return nil, err
		}
		th.t.Cleanup(w.Close)
		p.wires[target] = w
		p.secrets[target] = kubelet.New(filepath.Join(th.dir, name, target))
		if err := p.writeSecret(target); err != nil {
			return nil, err
		}
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	th.pods = append(th.pods, p)
	return p, nil
}

// writeSecret writes the place's DSN of now as a mounted Secret.
func (p *pod) writeSecret(target string) error {
	dsn := p.th.places[target].dsn(p.wires[target].Address(), p.name+"/"+target)
	return p.secrets[target].Write(map[string]string{"dsn": dsn})
}

// SetRole writes the role label, none for "", when the kubelet comes to it.
func (p *pod) SetRole(ctx context.Context, role string) error {
	if err := p.th.kubeletLag(ctx); err != nil {
		return err
	}
	return p.label(role)
}

// label writes the role label now, as at the pod's birth. The old role lasts
// until the write is over, the new one begins before it.
func (p *pod) label(role string) error {
	labels := map[string]string{
		"app.kubernetes.io/name": "understudy", "app.kubernetes.io/version": p.version, "rollouts-pod-template-hash": p.hash,
	}
	if role != "" {
		labels["role"] = role
	}
	from := time.Now()
	if err := p.labels.Write(p.podinfo(labels)); err != nil {
		return err
	}
	to := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.stints) - 1; last >= 0 {
		p.stints[last].To = to
	}
	p.stints = append(p.stints, history.Stint{Pod: p.name, Role: role, From: from})
	return nil
}

// podinfo is the content of the pod's directory.
func (p *pod) podinfo(labels map[string]string) map[string]string {
	if !p.single {
		return map[string]string{"labels": kubelet.Labels(labels)}
	}
	return map[string]string{
		"role": kubelet.Label(labels, "role"), "rollouts-pod-template-hash": kubelet.Label(labels, "rollouts-pod-template-hash"),
	}
}

// start starts a process of the pod, as a kubelet starts a container.
func (p *pod) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, err := p.launch(len(p.processes) + 1)
	if err != nil {
		return err
	}
	p.processes = append(p.processes, w)
	return nil
}

// process is the pod's last process.
func (p *pod) process() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.processes[len(p.processes)-1]
}

// probeTimeout bounds one readiness probe, as a Kubernetes probe does by default.
const probeTimeout = time.Second

// Ready asks the readiness probe.
func (p *pod) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := p.get(ctx, "/health/ready")
	return err == nil
}

// get asks the process over HTTP. Any answer but 200 is an error.
func (p *pod) get(ctx context.Context, path string) ([]byte, error) {
	address := p.process().address()
	if address == "" {
		return nil, fmt.Errorf("%s serves no HTTP yet", p.name)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := p.th.probes.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s of %s: %s", path, p.name, response.Status))
	}
	return body, err
}

// Terminate sends SIGTERM.
func (p *pod) Terminate() { _ = p.process().signal(syscall.SIGTERM) } // it may have ended

// end ends the pod's process, and waits for it.
func (p *pod) end() {
	w := p.process()
	_ = w.signal(syscall.SIGCONT)
	_ = w.signal(syscall.SIGTERM)
	if !w.process.Wait(patience) {
		w.kill()
		p.th.t.Errorf("%s did not end after SIGTERM", p.name)
	}
}

// serves says whether the pod has a live epoch in a role on a place.
func (p *pod) serves(ctx context.Context, pl *place, role string) bool {
	var live bool
	// An error means that the schema is not there, or the server.
	err := pl.pool.QueryRow(ctx, pl.sql("SELECT EXISTS (SELECT FROM {schema}.workers WHERE pod = $1 AND role = $2 AND state = 'serving' AND lease_until > now())"),
		p.name, role).Scan(&live)
	return err == nil && live
}

// epochs counts the epochs that the pod has begun on a place.
func (p *pod) epochs(ctx context.Context, pl *place) (count int) {
	_ = pl.pool.QueryRow(ctx, pl.sql("SELECT count(*) FROM {schema}.workers WHERE pod = $1"), p.name).Scan(&count)
	return count
}
