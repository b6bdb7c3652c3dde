// Command handlers is Understudy with handlers and tables of its own.
package main

import (
	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/examples/handlers/migrations"
)

func main() { app.Main(app.Options{Handlers: handlers, Migrations: migrations.Files}) }
