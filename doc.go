// Package understudy is the domain of a Postgres job worker for progressive
// delivery: jobs, the states they pass through, the handlers that work them,
// and what a handler can say about how a job ended. It imports nothing but
// the standard library.
package understudy
