// Package history proves, from what workers, the database and the tests noted,
// that no job was lost, none done twice, and none claimed by the wrong role.
//
// Workers note what they do in a Ledger each, a file, since a line in it
// survives the process and needs no database. The test notes what it did to
// them: see Record, whose Check judges it all once the work is done.
package history
