//go:build !race

package demo

// raceFlags build the program as these tests are built.
var raceFlags []string
