package understudy_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
)

// mail is an example of a job's arguments.
type mail struct {
	To string `json:"to"`
}

func TestTypedHandlersGetTheirArgumentsDecoded(t *testing.T) {
	t.Parallel()
	failure := errors.New("mailbox full")
	var got mail
	handler := understudy.Typed(func(_ context.Context, job *understudy.Job, args mail) error {
		got = args
		return failure
	})
	err := handler.Handle(t.Context(), &understudy.Job{Args: json.RawMessage(`{"to": "a@b"}`)})
	if err != failure {
		t.Errorf("error %v, want the handler's own", err)
	}
	if diff := cmp.Diff(mail{To: "a@b"}, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestTypedHandlersDiscardWhatDoesNotDecode(t *testing.T) {
	t.Parallel()
	handler := understudy.Typed(func(context.Context, *understudy.Job, mail) error {
		t.Error("the handler ran")
		return nil
	})
	for _, args := range []string{``, `{`, `[]`, `{"to": 1}`} {
		err := handler.Handle(t.Context(), &understudy.Job{Kind: "mail", Args: json.RawMessage(args)})
		var discard *understudy.DiscardError
		if !errors.As(err, &discard) || !strings.Contains(err.Error(), `decode arguments of kind "mail": `) {
			t.Errorf("%s: error %v, want a discard that names the kind", args, err)
		}
	}
}

func TestKindsAreSorted(t *testing.T) {
	t.Parallel()
	nothing := understudy.HandlerFunc(func(context.Context, *understudy.Job) error { return nil })
	got := understudy.Handlers{"b": nothing, "c": nothing, "a": nothing}.Kinds()
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if got := understudy.Handlers(nil).Kinds(); got == nil || len(got) != 0 {
		t.Errorf("kinds of no handlers: %#v, want an empty list, which is no JSON null", got)
	}
}
