// Package store keeps jobs in one Postgres schema: it enqueues, claims,
// records, rescues, prunes and shows them, and brings the schema to the
// version that this binary needs.
//
// Every statement names its tables with the quoted schema, which is put into
// it once, when the store is made: no setting of a session decides which
// environment a statement hits.
package store
