// Package dashboard is what a worker says about itself over HTTP: probes,
// plain text and JSON for people and scripts, and metrics for Prometheus. It
// reads copies that others hand it and owns nothing of the worker's state.
package dashboard
