// Package integration runs the real worker against real Postgres servers in
// containers, breaks things on purpose, and proves from what workers, servers
// and tests noted that nothing was lost, done twice, or claimed in the wrong
// role. It holds tests only; -short leaves them out.
//
// Each test is a theatre: a production and a preview place, each a schema on
// some server, and pods, each a process of the program in worker with pod files
// written as a kubelet writes them and a wire to each server that can be cut.
package integration
