// Package initprocess is an init: the process that reaps what programs leave
// behind, where this program is the first of its container.
package initprocess
