package container

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Ports that servers get: above those of well-known services.
const (
	lowestPort  = 10_000
	highestPort = 65_535
)

// freePort picks a port of this machine that a server keeps over its restarts.
// It is not one that the system hands out by itself, because while the server
// is down any connection of anyone could get it.
func freePort() (int, error) {
	low, high := ephemeralPorts()
	const tries = 1000
	for range tries {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if (port < low || port > high) && bindable(port) {
			return port, nil
		}
	}
	return 0, errors.New("find a free port: all that were tried are taken")
}

// ephemeralPorts are the ports that the system hands out by itself: on Linux
// as it says, elsewhere those that are meant for it.
func ephemeralPorts() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &low, &high)
	}
	if err != nil {
		return 49_152, highestPort
	}
	return low, high
}

func bindable(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	return err == nil && listener.Close() == nil
}

// isTaken says whether a container could not be made because another has its
// name, which tells the port, or because its port is in use.
func isTaken(err error) bool {
	for _, complaint := range []string{"is already in use by container", "port is already allocated", "address already in use"} {
		if strings.Contains(err.Error(), complaint) {
			return true
		}
	}
	return false
}
