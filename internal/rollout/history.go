package rollout

// Impossible says why a step cannot be done as things are. Nothing was changed.
type Impossible string

func (i Impossible) Error() string { return string(i) }

// History is which revision plays which part in a blue-green rollout. It knows
// nothing of pods and of time, so that steps can be tried on it before they
// are done. The zero value has none yet.
type History struct {
	active  *Revision
	preview *Revision   // nil without one
	before  []*Revision // those that were active before, the last one last
	undone  *Revision   // the one that the last undo took back, nil without one
}

// Active is the active revision, nil before the first.
func (h *History) Active() *Revision { return h.active }

// Preview is the revision in preview, nil without one.
func (h *History) Preview() *Revision { return h.preview }

// Deploy makes a revision the one in preview, or the active one if it is the
// first. It returns the one in preview that it replaces, nil if there is none.
func (h *History) Deploy(r *Revision) (replaced *Revision) {
	if h.active == nil {
		h.active = r
		return nil
	}
	replaced, h.preview, h.undone = h.preview, r, nil
	return replaced
}

// Promote makes the revision in preview the active one or, without one, the
// revision that the last undo took back.
func (h *History) Promote() (from, to *Revision, err error) {
	from, to = h.active, h.preview
	if to == nil {
		to = h.undone
	}
	if to == nil {
		return nil, nil, Impossible("promote: nothing is in preview: make a new version first")
	}
	h.before = append(h.before, from)
	h.active, h.preview, h.undone = to, nil, nil
	return from, to, nil
}

// Abort gives up the revision in preview and returns it.
func (h *History) Abort() (*Revision, error) {
	r := h.preview
	if r == nil {
		return nil, Impossible("abort: nothing is in preview")
	}
	h.preview = nil
	return r, nil
}

// Undo makes the revision that was active before the active one again.
func (h *History) Undo() (from, to *Revision, err error) {
	if h.preview != nil {
		return nil, nil, Impossible("undo: a version is in preview: abort or promote it first")
	}
	if len(h.before) == 0 {
		return nil, nil, Impossible("undo: nothing was promoted that could be taken back")
	}
	last := len(h.before) - 1
	from, to = h.active, h.before[last]
	h.active, h.before, h.undone = to, h.before[:last], from
	return from, to, nil
}
