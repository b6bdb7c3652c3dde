// Package worker runs the loop of one epoch: it claims jobs, has them handled,
// records how they ended, keeps the epoch's lease, and drains when it is told
// to stop.
//
// Who owns what:
//
//	claimer      one a queue: asks for jobs and puts them into the queue's buffer
//	slots        as many a queue as its concurrency: take a job, run its handler
//	recorder     one: writes outcomes, in the batches that come up by themselves
//	lease        one: renews, counts, and says when the epoch is lost
//	reconciler   one: finds claims that were lost, and jobs to cancel
//	housekeeping promotes what is due, rescues, prunes
//	listener     one: turns notifications into claims and cancellations
//
// Three contexts keep them apart. Claiming ends when the worker is demoted. A
// job's context outlives that, until the job is done or has a cause to be cut
// short. Outcomes are written on a third, which ends last.
package worker
