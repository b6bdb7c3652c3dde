package worker

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// The tasks of housekeeping.
const (
	TaskPromote = "promote" // make scheduled jobs claimable when their time has come
	TaskRescue  = "rescue"  // take jobs back from lost workers
	TaskPrune   = "prune"   // drop what was finished longer ago than the retention
)

// chores remembers which housekeeping fails.
type chores struct {
	mu      sync.Mutex
	failing map[string]understudy.FailingTask
}

// note notes how one try of a task went.
func (c *chores) note(task string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.failing, task)
		return
	}
	if c.failing == nil {
		c.failing = map[string]understudy.FailingTask{}
	}
	known, ok := c.failing[task]
	if !ok {
		known = understudy.FailingTask{Task: task, Since: time.Now()}
	}
	known.Failures++
	known.Error = err.Error()
	c.failing[task] = known
}

// status lists the tasks whose last try failed.
func (c *chores) status() []understudy.FailingTask {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []understudy.FailingTask
	for _, task := range c.failing {
		all = append(all, task)
	}
	slices.SortFunc(all, func(a, b understudy.FailingTask) int { return cmp.Compare(a.Task, b.Task) })
	return all
}

// housekept tells of one try of a task.
func (w *Worker) housekept(task string, err error) {
	w.chores.note(task, err)
	w.options.Observer.Housekept(task, err)
}
