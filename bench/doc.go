// Program bench compares Understudy with River and gue on one Postgres
// server: how fast they enqueue and work jobs, how soon a job begins, what a
// job costs, and what a long history, a held snapshot or many processes change.
//
// Every run has a database of its own, which the system's own migrations set
// up and which is dropped afterwards. Worker processes are this program again,
// so that their CPU time can be told from the server's and the producer's. A
// rate counts what the server has durably, and every run is checked against a
// full count of its jobs before its figures are kept.
package main
