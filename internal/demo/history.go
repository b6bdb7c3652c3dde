package demo

// revision is one version of the worker as a rollout knows it.
type revision struct {
	version string
	hash    string // the pods' label rollouts-pod-template-hash
}

// impossible says why a step cannot be done as things are.
type impossible string

func (i impossible) Error() string { return string(i) }

// history is which revision plays which part in a rollout. It knows nothing
// of pods and of time, so that a script can be tried on it before it is run.
type history struct {
	active  *revision
	preview *revision   // nil without one
	before  []*revision // those that were active before, the last one last
	undone  *revision   // the one that the last undo took back, nil without one
}

// deploy makes a revision the one in preview, or the active one if it is the
// first. It returns the one in preview that it replaces, nil if there is none.
func (h *history) deploy(r *revision) (replaced *revision) {
	if h.active == nil {
		h.active = r
		return nil
	}
	replaced, h.preview, h.undone = h.preview, r, nil
	return replaced
}

// promote makes the revision in preview the active one or, without one, the
// revision that the last undo took back.
func (h *history) promote() (from, to *revision, err error) {
	from, to = h.active, h.preview
	if to == nil {
		to = h.undone
	}
	if to == nil {
		return nil, nil, impossible("promote: nothing is in preview: make a new version first")
	}
	h.before = append(h.before, from)
	h.active, h.preview, h.undone = to, nil, nil
	return from, to, nil
}

// abort gives up the revision in preview and returns it.
func (h *history) abort() (*revision, error) {
	r := h.preview
	if r == nil {
		return nil, impossible("abort: nothing is in preview")
	}
	h.preview = nil
	return r, nil
}

// undo makes the revision that was active before the active one again.
func (h *history) undo() (from, to *revision, err error) {
	if h.preview != nil {
		return nil, nil, impossible("undo: a version is in preview: abort or promote it first")
	}
	if len(h.before) == 0 {
		return nil, nil, impossible("undo: nothing was promoted that could be taken back")
	}
	last := len(h.before) - 1
	from, to = h.active, h.before[last]
	h.active, h.before, h.undone = to, h.before[:last], from
	return from, to, nil
}
