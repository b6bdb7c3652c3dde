// Command findpostgres prints the directory of the Postgres server binaries
// that the demo and the tests would use, or what to install and exits 1.
package main

import (
	"fmt"
	"os"

	"github.com/understudy-worker/understudy/internal/pgserver"
)

func main() {
	bindir, err := pgserver.Find()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(bindir)
}
