//go:build race

package integration_test

// raceFlags build a program as these tests are built.
var raceFlags = []string{"-race"}
