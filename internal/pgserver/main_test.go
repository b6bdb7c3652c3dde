package pgserver

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// parentVariable, when set, makes the test binary a program that starts a
// server in that directory, prints its DSN, and waits to be killed.
const parentVariable = "PGSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		beParent(dir)
	}
	goleak.VerifyTestMain(m)
}

func beParent(dir string) {
	server, err := Start(context.Background(), Options{Dir: dir, Settings: small})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.DSN("postgres"))
	select {}
}
