// Package supervisor leads a process through its roles. For each stretch of
// one role it opens the target's pool, has it checked and migrated, runs one
// blocking function, Serve, for as long as the role lasts, and closes the pool
// when Serve has returned and the pool is no longer wanted. So a process never
// serves two targets at a time, and the next one opens while the last drains.
package supervisor
