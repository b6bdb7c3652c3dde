package rollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatCannotBeDoneIsAnErrorAndChangesNothing(t *testing.T) {
	t.Parallel()
	promote := func(h *History) error { _, _, err := h.Promote(); return err }
	abort := func(h *History) error { _, err := h.Abort(); return err }
	undo := func(h *History) error { _, _, err := h.Undo(); return err }
	type step = func(h *History) error
	for name, c := range map[string]struct {
		before []step
		do     step
	}{
		"promote with nothing in preview":    {[]step{promote}, promote},
		"promote after an abort":             {[]step{abort}, promote},
		"abort twice":                        {[]step{abort}, abort},
		"undo with a version in preview":     {nil, undo},
		"undo with nothing promoted":         {[]step{abort}, undo},
		"undo further back than the first":   {[]step{promote, undo}, undo},
		"abort after what was undone is all": {[]step{promote, undo}, abort},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &History{}
			h.Deploy(&Revision{Version: "1"})
			h.Deploy(&Revision{Version: "2"})
			for _, step := range c.before {
				if err := step(h); err != nil {
					t.Fatal(err)
				}
			}
			was := *h
			if err := c.do(h); err == nil {
				t.Error("it was done")
			}
			if diff := cmp.Diff(was, *h, cmp.AllowUnexported(History{})); diff != "" {
				t.Errorf("history changed (-was +is):\n%s", diff)
			}
		})
	}
}
