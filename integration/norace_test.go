//go:build !race

package integration_test

// raceFlags build the programs as these tests are built.
var raceFlags []string
