// Package demo shows a rollout on one machine: a Postgres, two versions of the
// worker as real processes, pod files as a kubelet writes them, and a stand-in
// for Argo Rollouts that promotes, aborts and undoes. It checks, with the
// database as the witness, that what the worker promises held.
package demo
