// Package container runs the servers of the integration tests in containers:
// Postgres, and PgBouncer before it. A test may stop, crash and freeze a server
// of its own and start it again under the same address.
//
// Images are never pulled: hack/postgres-image.sh sees to them. What a killed
// run leaves behind, the next one removes. A package that uses it says so in
// its TestMain:
//
//	func TestMain(m *testing.M) { container.Main(m) }
package container
