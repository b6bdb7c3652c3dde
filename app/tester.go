package app

import (
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/reload"
)

// tryout is what tester was asked for.
type tryout struct {
	aim               // of the preview's side; its labels are the other one's too
	production string // target
	listen     string
}

func (a *application) testerCommand() *cobra.Command {
	var t tryout
	cmd := &cobra.Command{
		Use:   "tester",
		Short: "Serve a page that shows production and preview side by side, and enqueues jobs into either",
		Long: `Serve a page that shows production and preview side by side, and enqueues jobs
into either, until SIGTERM or SIGINT.

Each revision may have a preview schema of its own. Without --template-hash,
--label and --schema the page shows the one that is served now, else the newest,
of those that Understudy has made for the target.

http.token_file, http.hosts and http.read_only hold for this page too; /health/live and
/version are open. Programs use POST /enqueue, with side, kind, count and args,
and GET /api/status.`,
		Example: "  understudy tester\n  curl --data side=preview --data kind=sleep --data count=100 http://127.0.0.1:7000/enqueue",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.tester(cmd, t) },
	}
	t.flags(cmd, "preview")
	flags := cmd.Flags()
	for flag, usage := range map[string]string{
		"schema":        "schema of the preview, another than the configured one",
		"template-hash": "revision whose preview it is: value of the pods' label " + templateHashLabel,
	} {
		flags.Lookup(flag).Usage = usage
	}
	for _, flag := range []string{"http.token_file", "http.read_only", "http.hosts"} {
		flags.Lookup(flag).Hidden = false
	}
	flags.Lookup("target").Hidden = true
	flags.StringVar(&t.production, "production", "production", "target that the page calls production")
	flags.StringVar(&t.target, "preview", "preview", "target that the page calls preview")
	flags.StringVar(&t.listen, "listen", "127.0.0.1:7000", "host:port to listen on; port 0 for any that is free")
	return cmd
}

// tester serves the page until ctx ends.
func (a *application) tester(cmd *cobra.Command, t tryout) error {
	if cmd.Flags().Changed("target") {
		return usagef("--target: name two targets, --production and --preview")
	}
	if t.production == "" || t.target == "" {
		return usagef("--production and --preview: name a target for each")
	}
	if t.production == t.target {
		return usagef("--production and --preview are both %q: name two targets", t.target)
	}
	production, config, err := a.newSeat(cmd, aim{target: t.production, hash: t.hash, labels: t.labels})
	if err != nil {
		return err
	}
	defer production.pool.Close()
	preview, _, err := a.newSeat(cmd, t.aim)
	if err != nil {
		return err
	}
	defer preview.pool.Close()
	if err := checkToken(config.HTTP); err != nil {
		return err
	}
	log := a.newLogger(cmd.ErrOrStderr(), config.Log)
	page, err := tester.New(tester.Options{
		Sides: [2]tester.Side{production.side("production", "Production", web.Blue), preview.side("preview", "Preview", web.Green)},
		Kinds: knownKinds(config), Version: config.Version, Token: tokenOf(config.HTTP), Hosts: config.HTTP.Hosts, ReadOnly: config.HTTP.ReadOnly, Log: log,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", t.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w: choose another, such as 127.0.0.1:0", err)
	}
	log.Info("listening", "addr", listener.Addr().String())
	return logged(log, page.Serve(cmd.Context(), listener))
}

// knownKinds are those that a worker with this configuration has handlers for,
// besides those of its own program.
func knownKinds(config reload.Config) []string {
	kinds := slices.Collect(maps.Keys(config.Handlers))
	for kind := range handlers.Defaults(understudy.Place{}) {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
