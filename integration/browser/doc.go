// Package browser tests the pages of the real program in a real browser, and
// takes the pictures of them that the documentation shows.
package browser
