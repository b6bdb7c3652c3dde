// Package pgtest gives tests a real Postgres: one server per test process,
// and in it a schema, a connection, a pool or a database for each test.
//
// The server is a temporary one, started by the first test that asks for it,
// or the one that $UNDERSTUDY_TEST_DSN names, whose login must be allowed to
// create schemas, databases and logins. A test that can have neither fails;
// it is skipped under -short only.
//
// A package that uses it says so in its TestMain:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
package pgtest
