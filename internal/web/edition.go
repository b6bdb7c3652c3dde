package web

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"
)

// edition is a frame among those that came before and after it. It is immutable
// but for the end of its time.
type edition struct {
	number     uint64
	made       time.Time
	frame      Frame
	changed    []uint64      // the number of the edition that brought each part as it is
	superseded chan struct{} // closed when there is a later one
	delta      func() []byte // since the edition before: most viewers have seen that
	whole      func() []byte
}

// firstEdition is the one before all: it has no parts.
func firstEdition() *edition { return &edition{superseded: make(chan struct{})} }

// followedBy is the edition of the next frame.
func (e *edition) followedBy(frame Frame) *edition {
	next := &edition{
		number: e.number + 1, made: time.Now(), frame: frame, changed: make([]uint64, len(frame.Parts)), superseded: make(chan struct{}),
	}
	before := map[string]int{}
	for i, part := range e.frame.Parts {
		before[part.ID] = i
	}
	for i, part := range frame.Parts {
		next.changed[i] = next.number
		if was, ok := before[part.ID]; ok && e.frame.Parts[was] == part {
			next.changed[i] = e.changed[was]
		}
	}
	sameHead := e.frame.Title == frame.Title && e.frame.Tone == frame.Tone
	next.delta = sync.OnceValue(func() []byte { return next.event(e.number, sameHead) })
	next.whole = sync.OnceValue(func() []byte { return next.event(0, false) })
	return next
}

// since is the event for whoever has seen the edition of that number, 0 for
// none of them; nothing when nothing changed.
func (e *edition) since(seen uint64) []byte {
	switch {
	case seen == 0:
		return e.whole()
	case seen == e.number-1:
		return e.delta()
	}
	return e.event(seen, false)
}

// update is an event's data. The script of the pages reads it.
type update struct {
	Title string      `json:"title"`
	Tone  string      `json:"tone"`
	Build string      `json:"build"`
	Now   int64       `json:"now"` // milliseconds since 1970
	Parts [][2]string `json:"parts"`
}

func (e *edition) event(seen uint64, sameHead bool) []byte {
	u := update{Title: e.frame.Title, Tone: e.frame.Tone, Build: build, Now: e.made.UnixMilli(), Parts: [][2]string{}}
	for i, part := range e.frame.Parts {
		if e.changed[i] > seen {
			u.Parts = append(u.Parts, [2]string{part.ID, part.HTML})
		}
	}
	if len(u.Parts) == 0 && sameHead {
		return nil
	}
	event := bytes.NewBufferString("data: ")
	encoder := json.NewEncoder(event)
	encoder.SetEscapeHTML(false) // it is half HTML, and no script reads it from a page
	if err := encoder.Encode(u); err != nil {
		panic(err) // strings and numbers
	}
	event.WriteByte('\n')
	return event.Bytes()
}
