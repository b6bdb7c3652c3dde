package integration_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// input is a job as somebody gives it to a door: the parameters of enqueue()
// and their texts. What is left out has its default.
type input map[string]string

// said is what the doors that have words of their own say, by door. For others
// it is the text under "".
type said map[string]string

// Postgres itself refuses what is no text, no JSON or no time to it, before a
// function of the schema sees it.
const (
	noText = "invalid byte sequence for encoding"
	noJSON = "invalid input syntax for type json"
	noTime = `"--scheduled-at" flag: use a time such as`
)

// inputs are jobs that must not get in, and how they are refused.
var inputs = map[string]struct {
	input
	said
}{
	"kind of 10,000 characters": {input{"kind": long(10_000)}, said{"": "kind has 10000 bytes, the limit is 128", inShell: "KIND has 10000 bytes: use 1 to 128"}},
	"empty kind":                {input{"kind": ""}, said{"": "kind is empty: name the handler", inShell: "KIND has 0 bytes"}},
	"NUL in the kind":           {input{"kind": "a\x00b"}, said{"": "kind contains a NUL character, which Postgres cannot store", inSQL: noText}},
	"kind that is not UTF-8":    {input{"kind": "a\xffb"}, said{"": "kind is not valid UTF-8", inSQL: noText}},

	"queue of 10,000 characters": {input{"queue": long(10_000)}, said{"": "queue has 10000 bytes"}},
	"empty queue":                {input{"queue": ""}, said{"": "queue is empty", inShell: "--queue has 0 bytes"}},
	"NUL in the queue":           {input{"queue": "a\x00b"}, said{"": "queue contains a NUL character", inSQL: noText}},
	"queue that is not UTF-8":    {input{"queue": "a\xffb"}, said{"": "queue is not valid UTF-8", inSQL: noText}},

	"unique key of 600 bytes":      {input{"unique_key": long(600)}, said{"": "unique_key has 600 bytes, the limit is 512"}},
	"empty unique key":             {input{"unique_key": ""}, said{"": "unique_key is empty: leave it out", inShell: "--unique-key is empty: leave it out"}},
	"NUL in the unique key":        {input{"unique_key": "a\x00b"}, said{"": "unique_key contains a NUL character", inSQL: noText}},
	"unique key that is not UTF-8": {input{"unique_key": "\xff"}, said{"": "unique_key is not valid UTF-8", inSQL: noText}},

	"priority 0":                      {input{"priority": "0"}, said{"": "priority is 0: it goes from 1, claimed first, to 4", inShell: "--priority 0: use 1 to 4"}},
	"priority 5":                      {input{"priority": "5"}, said{"": "priority is 5: it goes from 1, claimed first, to 4", inShell: "--priority 5: use 1 to 4"}},
	"priority beyond 32 bits":         {input{"priority": "4294967297"}, said{"": "priority is 4294967297", inSQL: "out of range for type integer", inShell: "--priority"}},
	"max_attempts 0":                  {input{"max_attempts": "0"}, said{"": "max_attempts is 0: it goes from 1 to 32767", inShell: "--max-attempts 0: use 1 to 32767"}},
	"max_attempts -3":                 {input{"max_attempts": "-3"}, said{"": "max_attempts is -3: it goes from 1 to 32767", inShell: "--max-attempts -3: use 1 to 32767"}},
	"max_attempts beyond 32 bits":     {input{"max_attempts": "4294967297"}, said{"": "max_attempts is 4294967297", inSQL: "out of range for type integer", inShell: "--max-attempts"}},
	"priority of 100,000 characters":  {input{"priority": long(100_000)}, said{inSQL: "invalid input syntax for type integer", inShell: "--priority"}},
	"schedule of 100,000 characters":  {input{"scheduled_at": long(100_000)}, said{inSQL: "invalid input syntax for type timestamp", inShell: noTime}},
	"schedule in the year 0":          {input{"scheduled_at": "0000-01-01T00:00:00Z"}, said{"": "use a time from year 1 to year 9999", inSQL: "date/time field value out of range"}},
	"schedule in the year 10000":      {input{"scheduled_at": "10000-01-01T00:00:00Z"}, said{"": "use a time from year 1 to year 9999", inShell: noTime}},
	"schedule in the year 10000, UTC": {input{"scheduled_at": "9999-12-31T23:00:00-02:00"}, said{"": "use a time from year 1 to year 9999"}},
	"schedule in the year 300000":     {input{"scheduled_at": "300000-01-01T00:00:00Z"}, said{"": "use a time from year 1 to year 9999", inSQL: "timestamp out of range", inShell: noTime}},
	"schedule at infinity":            {input{"scheduled_at": "infinity"}, said{inSQL: "scheduled_at is infinity: use a time from year 1 to year 9999", inShell: noTime}},
	"schedule before all time":        {input{"scheduled_at": "-infinity"}, said{inSQL: "scheduled_at is -infinity: use a time from year 1 to year 9999", inShell: noTime}},

	"args of 20 MB":           {input{"args": jsonOf(20_000_000)}, said{"": "args has 20000008 bytes, the limit is 1048576", inSQL: "args has 20000009 bytes, the limit is 1048576", inShell: "has more than 2097152 bytes"}},
	"args beyond 1 MiB":       {input{"args": jsonOf(1 << 20)}, said{"": "args has 1048584 bytes, the limit is 1048576", inSQL: "args has 1048585 bytes, the limit is 1048576"}},
	"args that are not UTF-8": {input{"args": "{\"s\": \"\xff\"}"}, said{"": "args is not valid UTF-8", inSQL: noText}},
	"NUL in the args":         {input{"args": "{\"s\": \"\x00\"}"}, said{"": "args cannot be made JSON", inSQL: noText, inShell: "is not JSON"}},
	`\u0000 in the args`:      {input{"args": `{"s": "\u0000"}`}, said{"": `args contains \u0000, which Postgres cannot store`, inSQL: "unsupported Unicode escape sequence"}},
	"a lone surrogate":        {input{"args": `{"s": "\ud83d"}`}, said{"": `args contains \ud83d, half of a surrogate pair`, inSQL: noJSON}},
	"args that are no JSON":   {input{"args": `{to: x}`}, said{"": "args cannot be made JSON", inSQL: noJSON, inShell: "is not JSON"}},
	"args that break off":     {input{"args": `{"to": "x"`}, said{"": "args cannot be made JSON", inSQL: noJSON, inShell: "is not JSON"}},
	"args 10,000 deep":        {input{"args": `{"s": ` + nested(9999) + `}`}, said{"": "args is nested too deep, the limit is 1000 levels"}},
	"args 50,000 deep":        {input{"args": `{"s": ` + nested(50_000) + `}`}, said{"": "args cannot be made JSON", inSQL: "stack depth limit exceeded", inShell: "is not JSON"}},
	"a number of 1e400000":    {input{"args": `{"n": 1e400000}`}, said{"": "args contains the number 1e400000, the limit of an exponent is 1000", inSQL: "value overflows numeric format"}},
	"a number too long":       {input{"args": `{"n": ` + strings.Repeat("9", 200_000) + `}`}, said{"": "args contains a number of 200000 characters, the limit is 10000", inSQL: "value overflows numeric format"}},
	"metadata of 2 MB":        {input{"metadata": jsonOf(2 << 20)}, said{"": "metadata has 2097160 bytes, the limit is 1048576", inSQL: "metadata has 2097161 bytes, the limit is 1048576"}},
	"metadata no JSON":        {input{"metadata": `{to: x}`}, said{"": "metadata cannot be made JSON", inSQL: noJSON}},
	"metadata too deep":       {input{"metadata": nested(2000)}, said{"": "metadata is nested too deep, the limit is 1000 levels"}},
}

// odd are jobs that look like the above, and are jobs like any other.
var odd = map[string]struct {
	input
	waits bool // nobody works them, or not yet
}{
	"kind of 128 bytes":        {input{"kind": strings.Repeat("ä", 64)}, true},
	"kind that breaks lines":   {input{"kind": "a\tb\r\n\x1b[31m'\"\\;--{}"}, true},
	"queue that breaks lines":  {input{"queue": "a\tb\r\n\x1b[31m'\"\\;--{}"}, true},
	"unique key of 512 bytes":  {input{"unique_key": strings.Repeat("🎭", 128)}, false},
	"priority 4":               {input{"priority": "4"}, false},
	"max_attempts 32767":       {input{"max_attempts": "32767"}, false},
	"schedule in the year 1":   {input{"scheduled_at": "0001-01-01T00:00:01Z"}, false},
	"schedule 9999":            {input{"scheduled_at": "9999-12-31T23:59:59Z"}, true},
	"args of 1 MiB":            {input{"args": jsonOf(1<<20 - 9)}, false},
	"args 1,000 deep":          {input{"args": `{"s": ` + nested(999) + `}`}, false},
	"args that name one twice": {input{"args": `{"MS": 86400000, "MS": 1}`}, false},
	"args with great numbers":  {input{"args": `{"n": [1e1000, -1e-1000, 12345678901234567890123]}`}, false},
	"args that look escaped":   {input{"args": `{"s": "\\u0000 \ud83d\ude00 \u2028 \\\\"}`}, false},
	"metadata of 1 MiB":        {input{"metadata": jsonOf(1<<20 - 9)}, false},
}

// long is so many characters.
func long(n int) string { return strings.Repeat("x", n) }

// jsonOf is JSON of so many characters, and eight.
func jsonOf(n int) string { return `{"s":"` + long(n) + `"}` }

// nested is JSON that is so deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestBadInputIsRefusedAtEveryDoorWithWhatIsWrongAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	th.lease = patientLease
	a := th.start("a", "active")
	th.untilServes(a, th.production(), "active")
	t.Run("input", func(t *testing.T) {
		for name, c := range inputs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				hall := newHall(t, th, "refused", 500)
				for _, d := range doors {
					hall.refuses(d, c.input, c.said)
				}
				// A good job comes after each bad one.
				if err := th.production().enqueue(t.Context(), store.NewJob{Kind: "note"}); err != nil {
					t.Error(err)
				}
			})
		}
	})
	th.untilDone(th.production())
	th.untilSQL(th.production(), "nothing got in that came with bad input", "SELECT NOT EXISTS (SELECT FROM {schema}.jobs WHERE kind <> 'note')")
	a.isWell()
	th.check()
}

func TestOddInputIsWorkedLikeAnyOther(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	th.lease = patientLease
	pl := th.production()
	a := th.start("a", "active")
	th.untilServes(a, pl, "active")
	hall := newHall(t, th, "note", 1)
	var shown, waits []int64
	for _, c := range odd {
		var ids []int64
		for _, d := range doors {
			ids = append(ids, hall.takes(d, c.input)...)
		}
		shown = append(shown, ids[0])
		if c.waits {
			waits = append(waits, ids...)
		}
	}
	th.untilSQL(pl, "all is done but for what waits",
		"SELECT NOT EXISTS (SELECT FROM {schema}.open_jobs WHERE kind = 'note' AND queue = 'default' AND scheduled_at <= now())")
	hall.looks(shown)
	a.isWell()
	later, alien := pl.open(t, "scheduled_at > now()"), pl.open(t, "scheduled_at <= now()")
	for _, id := range waits {
		if !slices.Contains(slices.Concat(later, alien), id) {
			t.Errorf("job %d did not wait", id)
		}
	}
	hall.steers("retry", later, understudy.StateAvailable) // it can be had before its year
	hall.steers("cancel", alien, understudy.StateCancelled)
	th.untilDone(pl)
	th.untilSQL(pl, "all were worked", "SELECT bool_and(state IN ('completed', 'cancelled')) FROM {schema}.jobs")
	th.check()
}

// open lists unfinished jobs.
func (pl *place) open(t *testing.T, where string) (ids []int64) {
	t.Helper()
	if err := pl.pool.QueryRow(t.Context(), pl.sql("SELECT array_agg(id ORDER BY id) FROM {schema}.open_jobs WHERE "+where)).Scan(&ids); err != nil || len(ids) == 0 {
		t.Fatalf("jobs %v are open where %s, error %v", ids, where, err)
	}
	return ids
}
