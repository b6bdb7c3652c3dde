//go:build unix && !linux

package initprocess

import "errors"

// Needed says whether this process becomes the parent of processes whose own
// parent has ended: only on Linux can it be made to.
func Needed() bool { return false }

// Run is for where Needed is true.
func Run() (code int, err error) { return 0, errors.ErrUnsupported }
