package reload

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	envPrefix  = "UNDERSTUDY_"
	envConfig  = "UNDERSTUDY_CONFIG"
	envVersion = "APP_VERSION"
)

// notKeys are variables with our prefix that are not configuration: of a
// handler's command, of tests, of the Postgres that tests run on, and the name
// of the file itself. And the links that Kubernetes puts into every container
// for a Service whose name begins with understudy: UNDERSTUDY_PORT,
// UNDERSTUDY_ACTIVE_SERVICE_HOST, … (kubelet's envvars.FromServices).
var notKeys = regexp.MustCompile(`^UNDERSTUDY_(CONFIG$|JOB_|TEST_|POSTGRES_|([A-Z0-9]+_)*` +
	`(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$)`)

// envLayer reads the variables UNDERSTUDY_…, each named by a key with two
// underscores for a dot.
func envLayer(environ []string) (*layer, error) {
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if notKeys.MatchString(name) {
				return "", nil
			}
			return name, value
		},
	})
	variables, err := provider.Read()
	if err != nil {
		return nil, err
	}
	l := newLayer(envName)
	for _, name := range slices.Sorted(maps.Keys(variables)) { // a section comes before the keys in it
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__")
		if err := l.addText(shownName(name), path, variables[name].(string)); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// envName spells a key as a variable.
func envName(path []string) string {
	return envPrefix + strings.ToUpper(strings.Join(path, "__"))
}

// lookup is the value of a variable in environ, "" if it is not there.
func lookup(environ []string, name string) string {
	value := ""
	for _, line := range environ {
		if v, found := strings.CutPrefix(line, name+"="); found {
			value = v // the last one wins, as in a process of its own
		}
	}
	return value
}
