package app

import (
	"strings"
	"testing"
)

func TestAMessageIsShortOfLongValuesAndOfNothingElse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for message, want := range map[string]string{
		`schema "a" is dirty: ` + long + ` in "b"`: `schema "a" is dirty: ` + long + ` in "b"`,
		`invalid "` + long + `" for "--x"`:         `invalid "` + long[:99] + `…" for "--x"`,
		`quoted "a\"` + long + `" ends`:            `quoted "a\"` + long[:96] + `…" ends`,
		`an odd " quote`:                           `an odd " quote`,
	} {
		if got := shortened(message); got != want {
			t.Errorf("%s\nbecame  %s\nwant    %s", message, got, want)
		}
	}
}
