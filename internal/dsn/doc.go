// Package dsn turns a Postgres connection string into the configuration of a
// pool. What is wrong with one is said by parameter, file, service or variable,
// and what to do; no error repeats what may be a password.
package dsn
