// Command understudy is a Postgres job worker that learns its role while it
// runs: see README.md.
package main

import "github.com/understudy-worker/understudy/app"

func main() { app.Main(app.Options{}) }
