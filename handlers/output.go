package handlers

// head is a writer that keeps the first bytes, up to its limit.
type head struct {
	limit int
	kept  []byte
	cut   bool // there was more
}

// Write takes all of p, whatever it keeps of it.
func (h *head) Write(p []byte) (int, error) {
	fits := min(len(p), h.limit-len(h.kept))
	h.kept = append(h.kept, p[:fits]...)
	h.cut = h.cut || fits < len(p)
	return len(p), nil
}

// tailBytes is how much of a program's standard error an error shows.
const tailBytes = 4096

// tail is a writer that keeps the last tailBytes.
type tail struct{ kept []byte }

// Write takes all of p, whatever it keeps of it.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	t.kept = append(t.kept[:0], t.kept[max(0, len(t.kept)-tailBytes):]...)
	return len(p), nil
}
