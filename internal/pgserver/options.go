package pgserver

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options say how a server is set up. The zero value will do.
type Options struct {
	// Bindir is the directory of the server binaries; by default Find's.
	Bindir string
	// Dir is the directory in which the server's own directory is made; by
	// default that for temporary files. Started by root, it must be open to
	// the unprivileged user that the server runs as.
	Dir string
	// Settings are added to postgresql.conf, in place of the defaults here.
	Settings map[string]string
	// Log gets the server's log, besides its last lines that errors quote.
	Log io.Writer
	// StartTimeout bounds the wait for the first connection; 60 s by default.
	StartTimeout time.Duration
}

// defaults are the settings of a server whose Options name no others.
var defaults = map[string]string{
	"listen_addresses": "127.0.0.1",
	// A socket's path may have no more than 107 bytes, which the directory
	// for temporary files can exceed.
	"unix_socket_directories": "",
	"max_connections":         "200",
	"shared_buffers":          "256MB",
	"logging_collector":       "off",
	"log_destination":         "stderr",
	"log_line_prefix":         "%m [%p] ",
	// Messages in English: a port that was taken is told by its message.
	"lc_messages": "C",
}

const defaultStartTimeout = time.Minute

var settingName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)

// bindir is the directory of the server binaries, known to hold them.
func (o Options) bindir() (string, error) {
	if o.Bindir == "" {
		return Find()
	}
	return o.Bindir, checkBindir(o.Bindir)
}

// config is the text that the options add to postgresql.conf.
func (o Options) config() (string, error) {
	settings := maps.Clone(defaults)
	maps.Copy(settings, o.Settings)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if !settingName.MatchString(name) {
			return "", fmt.Errorf("setting %q: not the name of a Postgres setting", name)
		}
		if name == "port" {
			return "", fmt.Errorf("setting %q: the server chooses a free port itself", name)
		}
		if strings.ContainsAny(value, "\n\r\x00") {
			return "", fmt.Errorf("setting %q: its value holds a line break or a zero byte", name)
		}
		fmt.Fprintf(&text, "%s = '%s'\n", name, quoteSetting.Replace(value))
	}
	return text.String(), nil
}

// quoteSetting escapes what stands between quotes in postgresql.conf.
// Source: Postgres manual, section 20.1.2; backslashes as in guc-file.l.
var quoteSetting = strings.NewReplacer(`'`, `''`, `\`, `\\`)
