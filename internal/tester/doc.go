// Package tester is the tester: one page that shows production and preview side
// by side and enqueues jobs into either.
package tester
