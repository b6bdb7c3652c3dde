package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine describes the machine in a few words.
func machine() string {
	return fmt.Sprintf("%d cores%s, %s/%s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH)
}

// processor is the processor's name, as Linux has it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return " of " + strings.TrimSpace(value)
		}
	}
	return ""
}
