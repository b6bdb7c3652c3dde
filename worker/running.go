package worker

import "sync"

// Running lists the jobs that a process runs now, whichever epoch they were
// claimed in, so that none is started while it still runs. The zero value is
// an empty list.
type Running struct {
	mu     sync.Mutex
	places map[string]*jobSet
}

// at returns the jobs of one schema.
func (r *Running) at(key string) *jobSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.places == nil {
		r.places = map[string]*jobSet{}
	}
	set := r.places[key]
	if set == nil {
		set = &jobSet{ids: map[int64]struct{}{}}
		r.places[key] = set
	}
	return set
}

// jobSet is a set of jobs by id.
type jobSet struct {
	mu  sync.Mutex
	ids map[int64]struct{}
}

// enter adds a job, unless it is there already.
func (s *jobSet) enter(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.ids)
	s.ids[id] = struct{}{}
	return len(s.ids) > before
}

func (s *jobSet) leave(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
}
