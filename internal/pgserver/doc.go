// Package pgserver runs a temporary Postgres server from the server binaries
// found on this machine, for the demo and for tests.
//
// A server has a cluster of its own in a new directory, listens on 127.0.0.1
// only, asks for a random password, and keeps what it commits (fsync is on
// unless Options.Settings turns it off). Stop ends it and removes its
// directory. It needs a Unix system.
package pgserver
