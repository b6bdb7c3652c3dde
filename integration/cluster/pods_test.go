//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"time"
)

// pod is what the tests look at of a pod.
type pod struct {
	Metadata struct {
		Name              string
		Labels            map[string]string
		DeletionTimestamp *time.Time
	}
	Status struct {
		Phase                 string
		Conditions            []struct{ Type, Status string }
		InitContainerStatuses []containerStatus
		ContainerStatuses     []containerStatus
	}
}

type containerStatus struct {
	Name         string
	RestartCount int
	State        struct {
		Waiting    *struct{ Reason, Message string }
		Terminated *struct {
			ExitCode int
			Message  string
		}
	}
}

func (p pod) role() string { return p.Metadata.Labels["role"] }
func (p pod) hash() string { return p.Metadata.Labels["rollouts-pod-template-hash"] }
func (p pod) going() bool  { return p.Metadata.DeletionTimestamp != nil }

func (p pod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// restarts counts how often the pod's containers were started again.
func (p pod) restarts() (count int) {
	for _, c := range p.Status.ContainerStatuses {
		count += c.RestartCount
	}
	return count
}

func (p pod) String() string {
	return fmt.Sprintf("%s role %q hash %s ready %t going %t restarts %d", p.Metadata.Name, p.role(), p.hash(), p.ready(), p.going(), p.restarts())
}

// pods are the pods that a selector picks.
func (d *deployment) pods(selector string) []pod {
	d.t.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(d.kubectl("get", "pods", "-o", "json", "-l", selector)), &list); err != nil {
		d.t.Fatal(err)
	}
	return list.Items
}

// workers are the worker's pods of a revision.
func (d *deployment) workers(hash string) []pod {
	d.t.Helper()
	return d.pods("app.kubernetes.io/name=worker,rollouts-pod-template-hash=" + hash)
}

// awaitPods waits until a revision has as many pods as a deployment has replicas
// and all are so.
func (d *deployment) awaitPods(hash, what string, is func(pod) bool) {
	d.t.Helper()
	waitFor(d.t, fmt.Sprintf("%d pods of revision %s that are %s", d.replicas, hash, what), stepTimeout, func() (bool, string) {
		pods := d.workers(hash)
		count := 0
		for _, p := range pods {
			if is(p) {
				count++
			}
		}
		return count == d.replicas && count == len(pods), fmt.Sprint(pods)
	})
}

// inRole is a ready pod that has this role, "" for none.
func inRole(role string) func(pod) bool {
	return func(p pod) bool { return p.ready() && !p.going() && p.role() == role }
}
