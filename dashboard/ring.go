package dashboard

// ring keeps the last things that were put into it.
type ring[T any] struct {
	items []T // full once its length is its capacity
	next  int // where the next goes then
}

func newRing[T any](size int) ring[T] { return ring[T]{items: make([]T, 0, size)} }

func (r *ring[T]) add(item T) {
	if len(r.items) < cap(r.items) {
		r.items = append(r.items, item)
		return
	}
	r.items[r.next] = item
	r.next = (r.next + 1) % len(r.items)
}

// newest lists what is kept, the newest first.
func (r *ring[T]) newest() []T {
	all := make([]T, 0, len(r.items))
	for i := range r.items {
		all = append(all, r.items[(r.next+len(r.items)-1-i)%len(r.items)])
	}
	return all
}

// last is the newest one, to be changed; nil of none.
func (r *ring[T]) last() *T {
	if len(r.items) == 0 {
		return nil
	}
	return &r.items[(r.next+len(r.items)-1)%len(r.items)]
}
