package handlers_test

import (
	"context"
	"fmt"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
)

func ExampleAll() {
	config := map[string]map[string]any{
		"greet": {"type": "exec", "command": []any{"sh", "-c", `echo "{\"attempt\": $UNDERSTUDY_JOB_ATTEMPT}"`}},
	}
	all, release, err := handlers.All(config, understudy.Place{Role: "preview", Target: "preview"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()

	job := &understudy.Job{Kind: "greet", Attempt: 2}
	fmt.Println(all.Kinds())
	fmt.Println(all["greet"].Handle(context.Background(), job), string(job.Result()))
	// Output:
	// [echo fail greet sleep]
	// <nil> {"attempt":2}
}

func ExampleNew_unknownSetting() {
	_, err := handlers.New("mail", map[string]any{"type": "http", "urll": "http://localhost:3000"}, understudy.Place{})
	fmt.Println(err)
	// Output:
	// handlers.mail.urll: unknown setting of type "http": did you mean "url"? (known: url, headers, timeout, max_response_bytes)
}
