package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// options say what to measure and where to write it.
type options struct {
	dsn      string
	rounds   int
	measures []measure
	systems  []system
	sizes    sizes
	peersToo bool

	from, out, table, plot string
}

// errHelp says that help was asked for, and given.
var errHelp = flag.ErrHelp

// parseOptions reads the flags.
func parseOptions(args []string, log io.Writer) (options, error) {
	var o options
	var measureNames, systemNames string
	var quick bool
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(log)
	fs.StringVar(&o.dsn, "dsn", "", "superuser's `DSN` of the server to measure on; by default a temporary one is started")
	fs.IntVar(&o.rounds, "rounds", 3, "how often each system is measured")
	fs.StringVar(&measureNames, "measures", "", "what to measure, by default everything: "+names(allMeasures, measure.named))
	fs.StringVar(&systemNames, "systems", "", "what to compare, by default everything: "+names(allSystems, system.name))
	fs.IntVar(&o.sizes.concurrency, "concurrency", 100, "jobs that an Understudy worker runs at a time, where a measure does not say")
	fs.BoolVar(&quick, "quick", false, "measure with few jobs, to see that everything works")
	fs.BoolVar(&o.peersToo, "peers-too", false, "give River and gue the rows of the measure history too")
	fs.StringVar(&o.from, "from", "", "draw tables and plot from this `file` of raw results, and measure nothing")
	fs.StringVar(&o.out, "out", "", "write raw results to this JSON `file`, after each run")
	fs.StringVar(&o.table, "table", "", "write the tables to this Markdown `file`; by default they are printed")
	fs.StringVar(&o.plot, "plot", "", "draw the plot into this SVG `file`")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("argument %q: bench takes flags only", fs.Arg(0))
	}
	if o.rounds < 1 || o.sizes.concurrency < 1 {
		return o, errors.New("-rounds and -concurrency: use 1 or more")
	}
	var measuresErr, systemsErr error
	o.measures, measuresErr = choose("-measures", measureNames, allMeasures, measure.named)
	o.systems, systemsErr = choose("-systems", systemNames, allSystems, system.name)
	o.sizes = sizesOf(quick, o.sizes.concurrency)
	return o, errors.Join(measuresErr, systemsErr)
}

// choose picks the named ones, in the order in which they are listed; all
// where no name is given.
func choose[T any](flag, list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	wanted := strings.Split(list, ",")
	var chosen []T
	for _, one := range all {
		if i := slices.Index(wanted, name(one)); i >= 0 {
			chosen = append(chosen, one)
			wanted = slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("%s=%s: there is no %q: use some of %s", flag, list, wanted[0], names(all, name))
	}
	return chosen, nil
}

// names lists the names, as a flag takes them.
func names[T any](all []T, name func(T) string) string {
	var list []string
	for _, one := range all {
		list = append(list, name(one))
	}
	return strings.Join(list, ",")
}
