package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// enginePatience bounds the first talk with the engine.
const enginePatience = 30 * time.Second

// loopback is where the servers are reached if the engine runs on this machine.
const loopback = "127.0.0.1"

// engine is the Docker engine that the containers run on.
type engine struct {
	client client.APIClient
	host   string // where its published ports are reached
}

// docker connects to the engine, once for the process: go test runs each
// package as one, and TestMain has no other way to hand something to tests.
var docker = sync.OnceValues(connect)

func connect() (*engine, error) {
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	provider, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("there is no Docker engine to talk to: start one, name it with $DOCKER_HOST, or run with -short: %s", oneLine(err))
	}
	host, err := publishedHost(ctx, provider)
	if err != nil {
		return nil, fmt.Errorf("find out where Docker publishes ports: %w; set $TESTCONTAINERS_HOST_OVERRIDE", err)
	}
	return &engine{client: provider.Client(), host: host}, nil
}

// dial finds the engine and asks whether it is there.
func dial(ctx context.Context) (*testcontainers.DockerProvider, error) {
	log.SetDefault(log.NewNoopLogger())
	// The library's reaper is a container of an image of its own, which may not
	// be had here; sweep does its work.
	if err := setDefault("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, err
	}
	if err := check(ctx, provider.Client()); err != nil {
		return nil, errors.Join(err, provider.Client().Close())
	}
	return provider, nil
}

// check asks whether the engine is there, and is the one that the user named:
// the library goes on to look for others.
func check(ctx context.Context, api client.APIClient) error {
	if named := os.Getenv("DOCKER_HOST"); named != "" && named != api.DaemonHost() {
		return fmt.Errorf("none answers at %s", named)
	}
	_, err := api.Ping(ctx, client.PingOptions{})
	return err
}

// setDefault sets an environment variable that the user has not set.
func setDefault(name, value string) error {
	if _, set := os.LookupEnv(name); set {
		return nil
	}
	return os.Setenv(name, value)
}

// publishedHost is where published ports are reached. The library takes a
// machine that is itself a container for a guest of the engine's; it may as
// well run the engine.
func publishedHost(ctx context.Context, provider *testcontainers.DockerProvider) (string, error) {
	_, told := os.LookupEnv("TESTCONTAINERS_HOST_OVERRIDE")
	if !told && runsHere(ctx, provider.Client()) {
		return loopback, nil
	}
	host, err := provider.DaemonHost(ctx)
	if host == "localhost" { // which may be ::1, where nothing is bound
		return loopback, err
	}
	return host, err
}

// runsHere says whether the bridge of the engine's containers is an interface
// of this machine.
func runsHere(ctx context.Context, api client.APIClient) bool {
	if !strings.HasPrefix(api.DaemonHost(), "unix:") {
		return false
	}
	found, err := api.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if err != nil {
		return false
	}
	_, err = net.InterfaceByName(found.Network.Options["com.docker.network.bridge.name"])
	return err == nil
}

// oneLine is an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
