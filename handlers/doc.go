// Package handlers holds the ready-made handlers that the configuration can
// name: echo, sleep and fail to try a worker out, http and exec to work jobs in
// any language without writing Go.
//
//	handlers:
//	  mail:   {type: http, url: "http://localhost:3000/jobs/mail", timeout: 10s}
//	  resize: {type: exec, command: ["python3", "resize.py"], dir: /app, timeout: 2m}
//	  slow:   {type: sleep, duration: 5s}
//
// Handlers are made once per epoch, for its place, and nothing of theirs
// outlives it: call the function that All returns when the last job is done.
//
// # What http and exec share
//
// The job's arguments go in as JSON, and with them the same facts about the
// job: id, kind, queue, attempt, max attempts, role, target, schema, version.
// One JSON value that comes back becomes the job's result. Anything else that
// comes back is ignored. A value that is longer than the limit, or cannot be
// stored, is no failure: the job completes without a result, and its warning
// says why. When the job's context ends first, the handler returns that
// context's cause.
//
// # http
//
// POSTs the arguments to a URL, with the facts as Understudy-Job-Id, …-Kind
// and so on (percent-encoded if they are not printable ASCII), and with an
// Idempotency-Key that is the same for every attempt at the job and for no
// other job. Settings:
//
//	url                 http or https; a user and password in it are sent as Basic authentication
//	headers             a map of further request headers
//	timeout             of one request, body included; default 30s, 0 for none
//	max_response_bytes  of the body that may become the result; default 1 MiB
//
// 2xx completes. 4xx discards, but for 408, 425 and 429; those, 5xx, every
// other answer and none let the job run again: after Retry-After if it is given
// (at most 24 hours), else after the usual backoff. A redirect is not followed,
// as it may turn the POST into a GET and lose the body; the job runs again, so
// that it is still there when the configuration has the new address. An answer
// that breaks off is none, whatever its status began with.
//
// # exec
//
// Runs a program with the arguments on standard input, which it need not read,
// and the facts as UNDERSTUDY_JOB_ID, …_KIND and so on. Settings:
//
//	command             the program and its arguments, as a list; no shell reads them
//	dir                 the directory it runs in; default: the worker's
//	env                 a map of further environment variables
//	timeout             of one attempt; default 0, for none
//	kill_grace          from SIGTERM to SIGKILL; default 2s, at most 5s, as a drain waits for it
//	max_output_bytes    of the standard output that may become the result; default 1 MiB
//	discard_exit_codes  a list of exit codes that give the job up; default none
//
// Exit code 0 completes. Any other, or a signal, lets the job run again, with
// the last 4 KiB of standard error as its error. The program has the worker's
// environment but for what may hold or lead to a secret of the worker's: what starts
// with UNDERSTUDY_, libpq's variables for passwords, services and certificates, and
// OpenTelemetry's for headers and endpoints. Env gives them to a program that needs them.
//
// When time is up the program and all it started get SIGTERM, and SIGKILL after
// the grace. Whatever it leaves running is killed when it ends. Only a process
// that leaves its process group (setsid) escapes both. On Linux the program
// itself, though not what it started, also dies with a worker that is killed.
// The exec handler needs a Unix system.
package handlers
