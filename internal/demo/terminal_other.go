//go:build unix && !linux

package demo

import "os"

// immediate does nothing here: a key counts once Enter is pressed.
func immediate(*os.File) (restore func()) { return func() {} }
