package demo

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// keyPause is how long a look for a key waits before it looks whether it is
// still wanted.
const keyPause = 100 * time.Millisecond

// ctrlD is what a terminal that hands out keys at once makes of Ctrl-D, the end
// of the input.
const ctrlD = 4

const keysHelp = "keys: p promote, a abort, u undo, n new version, k kill the active worker, q quit"

// takeKeys passes on the steps that keys ask for. The key for quit, and the
// end of the input, end the acts at once. On a terminal no Enter is needed.
func (s *story) takeKeys(ctx context.Context, steps chan<- step) error {
	in := s.options.In
	if in == nil {
		s.trouble.end(errQuit)
		return nil
	}
	defer immediate(in)()
	s.say(keysHelp)
	for {
		key, err := readKey(ctx, in)
		verb, known := keyVerbs[key]
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			s.say("the input has ended, and so does the demo: run it on a terminal, or with --script")
			s.trouble.end(errQuit)
			return nil
		case key == ctrlD, verb == verbQuit:
			s.trouble.end(errQuit)
			return nil
		case err != nil:
			return err
		case !known && key > ' ':
			s.say("%q is no key here; %s", key, keysHelp)
		case known:
			select {
			case steps <- step{verb: verb}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// readKey reads one byte, or returns when ctx ends: a read that blocks could
// not be stopped.
func readKey(ctx context.Context, in *os.File) (byte, error) {
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		count, err := unix.Poll(ready, int(keyPause.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if count <= 0 {
			continue
		}
		var key [1]byte
		if n, err := in.Read(key[:]); n == 0 {
			return 0, err
		}
		return key[0], nil
	}
	return 0, context.Cause(ctx)
}
