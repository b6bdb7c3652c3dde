package reload

import (
	"fmt"
	"path/filepath"
	"time"
)

// view is what is believed of the pod after a read, good or not.
type view struct {
	role       string
	labels     map[string]string
	unreadable error // not nil once the files stayed unreadable past the grace
}

// memory keeps the last good view of the pod for a grace while its files
// cannot be read. Before the first good one it is of a pod without a role.
type memory struct {
	grace   time.Duration
	good    view
	readAt  time.Time // of the last good read, zero before it
	failing time.Time // since when reads fail, zero while they do not
	err     error     // of the last read
}

// observe takes in what a read at now said.
func (m *memory) observe(now time.Time, v view, err error) {
	m.err = err
	if err == nil {
		m.good, m.readAt, m.failing = v, now, time.Time{}
		return
	}
	if m.failing.IsZero() {
		m.failing = now
	}
}

// view is what is believed at now.
func (m *memory) view(now time.Time) view {
	if !m.failing.IsZero() && now.Sub(m.failing) >= m.grace {
		return view{unreadable: m.err}
	}
	return m.good
}

// turns is when the view turns unreadable though no read says anything new;
// zero if it will not.
func (m *memory) turns(now time.Time) time.Time {
	if end := m.failing.Add(m.grace); !m.failing.IsZero() && end.After(now) {
		return end
	}
	return time.Time{}
}

// ReadLabels are the pod's labels as they stand now, as far as cfg needs them:
// for ReadTarget, in commands that run in a pod.
func ReadLabels(cfg Config) (map[string]string, error) {
	pod, err := ReadPod(cfg.Podinfo.Dir, cfg.singleFiles()...)
	if err != nil {
		return nil, err
	}
	return pod.AllLabels(), nil
}

// readPod reads what is needed to know of the pod, which is nothing for a
// fixed role on a schema without labels in its name.
func (c Config) readPod() (view, error) {
	if !c.needsPod() {
		return view{role: c.Podinfo.Role}, nil
	}
	pod, err := ReadPod(c.Podinfo.Dir, c.singleFiles()...)
	if err != nil {
		return view{}, err
	}
	role := c.Podinfo.Role
	if role == "" {
		role, err = pod.Role(c.Podinfo.RoleLabel)
	}
	for _, label := range templateKeys(c.Targets[c.Roles[role]].Schema) {
		if err == nil {
			err = pod.Check(label)
		}
	}
	if err != nil {
		return view{}, fmt.Errorf("read pod directory %q: %w", c.Podinfo.Dir, err)
	}
	return view{role: role, labels: pod.AllLabels()}, nil
}

func (c Config) needsPod() bool {
	fixed := c.Podinfo.Role
	return fixed == "" || len(templateKeys(c.Targets[c.Roles[fixed]].Schema)) > 0
}

// singleFiles are the labels that matter, each of which may have a file of its own.
func (c Config) singleFiles() []string {
	names := []string{c.Podinfo.RoleLabel, templateHashLabel}
	for _, target := range sorted(c.Targets) {
		names = append(names, templateKeys(c.Targets[target].Schema)...)
	}
	return names
}

// watched lists the directories to watch, and the files in them that matter.
func (c Config) watched() (dirs, names []string) {
	if c.needsPod() {
		dirs = append(dirs, c.Podinfo.Dir)
		names = append(c.singleFiles(), labelsFile)
	}
	for _, t := range c.Targets {
		if t.DSNFile != "" {
			dirs = append(dirs, filepath.Dir(t.DSNFile))
			names = append(names, filepath.Base(t.DSNFile))
		}
	}
	return dirs, names
}
