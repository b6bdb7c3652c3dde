package handlers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/handlers"
)

// with is a handler's settings, written as JSON.
func with(t testing.TB, text string) map[string]any {
	t.Helper()
	settings := map[string]any{}
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestErrorsNameTheSettingAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ settings, want string }{
		{`{}`, `handlers.k.type: missing: use one of echo, exec, fail, http, sleep`},
		{`{"type": "htpp"}`, `handlers.k.type: unknown type "htpp": did you mean "http"? (known: echo, exec, fail, http, sleep)`},
		{`{"type": ["http"]}`, `handlers.k.type: is a list: give one text`},
		{`{"type": "echo", "url": "x"}`, `handlers.k.url: unknown setting: type "echo" takes none, remove it`},
		{`{"type": "http", "url": "http://h", "tiemout": "1s"}`,
			`handlers.k.tiemout: unknown setting of type "http": did you mean "timeout"? (known: url, headers, timeout, max_response_bytes)`},
		{`{"type": "http", "URL": "http://h"}`,
			`handlers.k.URL: unknown setting of type "http": did you mean "url"? (known: url, headers, timeout, max_response_bytes)`},
		{`{"type": "http"}`, `handlers.k.url: missing: write an absolute URL, such as "http://localhost:3000/jobs"`},
		{`{"type": "http", "url": "localhost:80/x"}`, `handlers.k.url: is no absolute URL: write an absolute URL, such as "http://localhost:3000/jobs"`},
		{`{"type": "http", "url": "http://:80"}`, `handlers.k.url: is no absolute URL: write an absolute URL, such as "http://localhost:3000/jobs"`},
		{`{"type": "http", "url": "ftp://h/x"}`,
			`handlers.k.url: ftp://h/x: scheme "ftp" is neither http nor https: write an absolute URL, such as "http://localhost:3000/jobs"`},
		{`{"type": "http", "url": "http://h", "timeout": 30}`, `handlers.k.timeout: 30 has no unit: write 30s or 30ms`},
		{`{"type": "http", "url": "http://h", "timeout": "soon"}`, `handlers.k.timeout: "soon" is no duration: write it like 500ms, 10s or 2m`},
		{`{"type": "http", "url": "http://h", "timeout": "-1s"}`, `handlers.k.timeout: -1s is negative: give a duration of zero or more`},
		{`{"type": "http", "url": "http://h", "max_response_bytes": "1MiB"}`,
			`handlers.k.max_response_bytes: "1MiB" is no number of bytes: give a whole number from 1 to 2147483647, such as 1048576`},
		{`{"type": "http", "url": "http://h", "max_response_bytes": 0}`,
			`handlers.k.max_response_bytes: "0" is no number of bytes: give a whole number from 1 to 2147483647, such as 1048576`},
		{`{"type": "http", "url": "http://h", "headers": "X: y"}`,
			`handlers.k.headers: is no map but a single value: write it as a map, such as {X-Team: payments}`},
		{`{"type": "http", "url": "http://h", "headers": {"a b": "c"}}`,
			`handlers.k.headers: "a…" is no name of a header: use letters, digits and dashes`},
		{`{"type": "http", "url": "http://h", "headers": {"understudy-job-id": "7"}}`,
			`handlers.k.headers.understudy-job-id: is set by the worker: remove it`},
		{`{"type": "http", "url": "http://h", "headers": {"x-a": "1", "X-A": "2"}}`,
			`handlers.k.headers.x-a: is given twice, in upper and lower case: keep one`},
		{`{"type": "http", "url": "http://h", "headers": {"x-a": ["1"]}}`, `handlers.k.headers.x-a: is a list: give one text`},
		{`{"type": "exec"}`, `handlers.k.command: missing: give the program and its arguments as a list, such as ["python3", "job.py"]`},
		{`{"type": "exec", "command": []}`, `handlers.k.command: missing: give the program and its arguments as a list, such as ["python3", "job.py"]`},
		{`{"type": "exec", "command": "python3 job.py"}`,
			`handlers.k.command: is no list but a single value: write it as a list, such as ["python3", "job.py"]`},
		{`{"type": "exec", "command": ["sh", {"a": 1}]}`,
			`handlers.k.command: item 2 is a map: give texts only, such as ["python3", "job.py"]`},
		{`{"type": "exec", "command": ["no-such-program-here"]}`,
			`handlers.k.command: program "no-such-program-here" is not found or cannot be run: install it, or give its absolute path`},
		{`{"type": "exec", "command": ["./sh"], "dir": "/"}`,
			`handlers.k.command: program "./sh" is not found or cannot be run: install it, or give its absolute path`},
		{`{"type": "exec", "command": ["sh"], "dir": "/no/such"}`,
			`handlers.k.dir: stat /no/such: no such file or directory: name a directory that exists`},
		{`{"type": "exec", "command": ["sh"], "dir": "/dev/null"}`, `handlers.k.dir: /dev/null is no directory: name one`},
		{`{"type": "exec", "command": ["sh"], "env": ["A=b"]}`,
			`handlers.k.env: is no map but a list: write it as a map, such as {LANG: C.UTF-8}`},
		{`{"type": "exec", "command": ["sh"], "env": {"A=": "b"}}`,
			`handlers.k.env: "A=" is no name of a variable: use letters, digits and underscores`},
		{`{"type": "exec", "command": ["sh"], "env": {"UNDERSTUDY_JOB_ID": "7"}}`,
			`handlers.k.env.UNDERSTUDY_JOB_ID: is set by the worker: remove it`},
		{`{"type": "exec", "command": ["sh"], "kill_grace": "1m"}`,
			`handlers.k.kill_grace: 1m0s is too long, a drain waits for it: use at most 5s`},
		{`{"type": "exec", "command": ["sh"], "discard_exit_codes": [0]}`,
			`handlers.k.discard_exit_codes: "0" is no exit code of a failure: use numbers from 1 to 255`},
		{`{"type": "exec", "command": ["sh"], "discard_exit_codes": 3}`,
			`handlers.k.discard_exit_codes: is no list but a single value: write it as a list, such as [65, 100]`},
	} {
		handler, err := handlers.New("k", with(t, test.settings), place)
		if err == nil || handler != nil {
			t.Errorf("%s: got handler %v, error %v", test.settings, handler, err)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.settings, diff)
		}
	}
}

func TestConfigurationErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{
		`{"type": "http", "url": "ftp://hunter2:hunter2@h/x?token=hunter2"}`,
		`{"type": "http", "url": "http://a:hunter2/x@h/"}`,
		`{"type": "http", "url": "user:hunter2@h/x"}`,
		`{"type": "http", "url": "http://h", "headers": {"Authorization": "hunter2\n"}}`,
		`{"type": "http", "url": "http://h", "headers": "Authorization: hunter2"}`,
		`{"type": "exec", "command": "prog --password=hunter2"}`,
		`{"type": "exec", "command": ["no-such-program-here", "hunter2"]}`,
		`{"type": "exec", "command": ["sh"], "env": {"TOKEN": "hunter2\u0000"}}`,
	} {
		_, err := handlers.New("k", with(t, settings), place)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", settings, err)
		}
	}
}

func TestSettingsMayBeTexts(t *testing.T) {
	t.Parallel()
	for _, settings := range []map[string]any{
		{"type": "http", "url": "http://h", "timeout": "3s", "max_response_bytes": "5", "headers": `{"X-A": 1}`},
		{"type": "http", "url": "http://h", "timeout": 0, "max_response_bytes": 5.0, "headers": map[string]string{"X-A": "1"}},
		{"type": "http", "url": "http://h", "timeout": nil, "max_response_bytes": int64(5), "headers": nil},
		{"type": "exec", "command": `["sh", "-c", "exit 0"]`, "env": `{"A": "b"}`, "discard_exit_codes": "[3]", "kill_grace": "0s"},
		{"type": "exec", "command": []string{"sh"}, "env": map[any]any{"A": true}, "discard_exit_codes": []int{3}},
	} {
		if _, err := handlers.New("k", settings, place); err != nil {
			t.Errorf("%v: %v", settings, err)
		}
	}
}

func TestConfiguredHandlersCoverTheDefaults(t *testing.T) {
	t.Parallel()
	all, release, err := handlers.All(map[string]map[string]any{
		"mail": {"type": "echo"},
		"fail": {"type": "echo"},
	}, place)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if diff := cmp.Diff([]string{"echo", "fail", "mail", "sleep"}, all.Kinds()); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if err := all["fail"].Handle(t.Context(), newJob(`{}`)); err != nil {
		t.Errorf("the configured handler of kind fail, an echo: %v", err)
	}
}

func TestAKindNeedsANameThatAJobCanHave(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", " ", strings.Repeat("k", 129)} {
		_, release, err := handlers.All(map[string]map[string]any{kind: {"type": "echo"}}, place)
		release()
		if err == nil {
			t.Errorf("kind %q is taken", kind)
		}
	}
}

func TestOneBadHandlerMakesNone(t *testing.T) {
	t.Parallel()
	all, release, err := handlers.All(map[string]map[string]any{
		"good":  {"type": "http", "url": "http://h"},
		"worse": {"type": "http"},
		"bad":   {"type": "http"},
	}, place)
	release()
	if all != nil || err == nil || !strings.HasPrefix(err.Error(), "handlers.bad.url: missing") {
		t.Errorf("got %v, error %v; want no handlers and the first kind's error", all, err)
	}
}

func FuzzSettingsNeverPanic(f *testing.F) {
	f.Add(`{"type": "http", "url": "http://u:p@h/x?y", "headers": {"a": 1}, "timeout": "1s"}`)
	f.Add(`{"type": "exec", "command": ["sh"], "env": "{}", "discard_exit_codes": [1, "2"]}`)
	f.Add(`{"type": "sleep", "duration": 1e9}`)
	f.Add(`{"type": "exec", "command": [null], "dir": [[]], "env": {"": {}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		settings := map[string]any{}
		if json.Unmarshal([]byte(text), &settings) != nil {
			return
		}
		handler, err := handlers.New("k", settings, place)
		if (handler == nil) == (err == nil) {
			t.Errorf("handler %v, error %v", handler, err)
		}
	})
}
