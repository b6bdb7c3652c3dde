package web

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A page of another site may make a name of its own lead to this server, with an
// address behind the firewall say (DNS rebinding). A browser takes this server for
// that site then, and lets its page send what it likes. The name that it asks for
// tells: what other headers say of it, a browser's page may have set itself.

// strange says whether a request asks for a name that another site may have made,
// and may do harm: by changing something or, where only this machine can reach the
// server, by reading.
func (s *site) strange(r *http.Request) bool {
	return (changes(r) || fromHere(r)) && !s.names.know(r.Host)
}

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

// fromHere says whether somebody on this machine asks.
func fromHere(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

// names are those that lead to this server and that nobody else can have.
type names struct {
	given     []string // by http.hosts
	namespace string   // of the pod, "" where it is not known
	suffixes  []string // of a cluster's Services
}

// newNames reads the pod's namespace and its cluster's domain, if there is one.
func newNames(given []string) names {
	n := names{suffixes: []string{".svc", ".svc.cluster.local"}}
	for _, name := range given {
		n.given = append(n.given, plain(name))
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf") // without it there is no cluster
	namespace, domain := searched(string(resolv))
	if domain != "" {
		n.suffixes = append(n.suffixes, ".svc."+domain)
	}
	if namespace == "" {
		account, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
		namespace = strings.TrimSpace(string(account))
	}
	n.namespace = namespace
	return n
}

// searched finds the namespace and the cluster's domain in the search list that a
// kubelet writes: NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN.
// Source: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
func searched(resolv string) (namespace, domain string) {
	for line := range strings.Lines(resolv) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "search" {
			continue
		}
		for _, word := range words[1:] {
			if name, rest, found := strings.Cut(plain(word), ".svc."); found && !strings.Contains(name, ".") {
				return name, rest
			}
		}
	}
	return "", ""
}

// hostName is what a name may consist of.
var hostName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// know says whether a Host header names this server in a way that no other site
// can: by an address, as localhost, as a single label, as a Service, or as it is
// configured.
func (n names) know(host string) bool {
	name := plain(withoutPort(host))
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")); err == nil {
		return true
	}
	if !hostName.MatchString(name) {
		return false
	}
	if slices.Contains(n.given, name) || !strings.Contains(name, ".") {
		return true
	}
	if slices.ContainsFunc(n.suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) }) {
		return true
	}
	service, namespace, _ := strings.Cut(name, ".")
	return service != "" && n.isNamespace(namespace)
}

// isNamespace says whether NAME.namespace is a Service's name. Where the pod's own
// namespace is not known, it is one that is no domain of the Internet.
func (n names) isNamespace(namespace string) bool {
	if n.namespace != "" || strings.Contains(namespace, ".") {
		return namespace == n.namespace
	}
	_, official := publicsuffix.PublicSuffix(namespace)
	return !official && !slices.Contains(specialDomains, namespace)
}

// specialDomains are not in the list of public suffixes, and lead somewhere all
// the same, or may.
// Source: https://www.iana.org/assignments/special-use-domain-names
var specialDomains = []string{"alt", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost", "mail", "onion", "private", "test"}

// withoutPort is a Host header without its port.
func withoutPort(host string) string {
	name, port, err := net.SplitHostPort(host)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		return host
	}
	return name
}

// plain is a name in lower case, without the dot that may end it.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
