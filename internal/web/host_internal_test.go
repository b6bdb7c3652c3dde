package web

import "testing"

func TestThePodsNamespaceIsFoundInWhatTheKubeletWrites(t *testing.T) {
	t.Parallel()
	for resolv, want := range map[string][2]string{
		"search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n": {"shop", "cluster.local"},
		"nameserver 10.0.0.1\nsearch shop.svc.k8s.corp.example. svc.k8s.corp.example.\n":                          {"shop", "k8s.corp.example"},
		"search corp.example\n": {"", ""},
		"search\n":              {"", ""},
		"":                      {"", ""},
	} {
		if namespace, domain := searched(resolv); namespace != want[0] || domain != want[1] {
			t.Errorf("%q: %q %q, want %v", resolv, namespace, domain, want)
		}
	}
}

func TestInAClusterATwoPartNameIsOneOfThePodsOwnNamespace(t *testing.T) {
	t.Parallel()
	n := names{namespace: "shop", suffixes: []string{".svc"}}
	for host, want := range map[string]bool{"worker.shop": true, "worker.shop:8080": true, "worker.other": false, "worker.com": false, "a.worker.shop": false, "worker.other.svc": true} {
		if n.know(host) != want {
			t.Errorf("%s: %v, want %v", host, !want, want)
		}
	}
}
