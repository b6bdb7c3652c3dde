// Package web is what the pages of a worker, of the tester and of the demo have
// in common: who may see and change what, the frame around each page, and the
// stream of events that keeps it up to date.
package web
