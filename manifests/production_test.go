package manifests

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	core "k8s.io/api/core/v1"
)

func TestHowManyWorkersThereAreIsSaidOnce(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		scalers := slices.DeleteFunc(slices.Clone(r.objects), func(o object) bool { return o.kind != "ScaledObject" })
		for _, rollout := range of[rollouts.Rollout](r) {
			if said := rollout.Spec.Replicas != nil; said != (len(scalers) == 0) {
				t.Errorf("Rollout %s: it says how many: %t; scalers: %d: what it says is set back to at each apply", rollout.Name, said, len(scalers))
			}
		}
		for _, scaler := range scalers {
			if least := number(scaler.fields, "spec.minReplicaCount"); least < 3 {
				t.Errorf("%s: it may come down to %v", scaler, least)
			}
		}
	})
}

func TestAnAcknowledgedCommitOfProductionOutlivesItsServer(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if o.kind != "Cluster" || o.name != "postgres" {
				continue
			}
			instances, standbys := number(o.fields, "spec.instances"), number(o.fields, "spec.postgresql.synchronous.number")
			if instances < 3 || standbys < 1 || first(o.fields, "spec.postgresql.synchronous.dataDurability") != "required" {
				t.Errorf("%s: instances: %v, synchronous: %v", o, instances, find(o.fields, "spec.postgresql.synchronous"))
			}
		}
	})
}

var created = regexp.MustCompile(`CREATE ROLE (\w+) LOGIN`)

func TestEveryManagedLoginIsMadeInItsClusterAndHasItsSecret(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if o.kind != "Cluster" {
				continue
			}
			logins := r.logins(o)
			for _, role := range find(o.fields, "spec.managed.roles[]") {
				name, secret := first(role, "name"), r.secrets[first(role, "passwordSecret.name")]
				if !slices.Contains(logins, name) {
					t.Errorf("%s manages %s, and makes %v", o, name, logins)
				}
				if secret == nil || secret.StringData["username"] != name || secret.StringData["password"] == "" {
					t.Errorf("%s: the Secret of %s is not for it", o, name)
				}
			}
		}
	})
}

// logins are those that the SQL of a Cluster makes.
func (r rendering) logins(cluster object) (all []string) {
	for _, ref := range find(cluster.fields, "spec.bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs[]") {
		for _, config := range of[core.ConfigMap](r) {
			if config.Name != first(ref, "name") {
				continue
			}
			for _, match := range created.FindAllStringSubmatch(config.Data[first(ref, "key")], -1) {
				all = append(all, match[1])
			}
		}
	}
	return all
}

func TestADSNsCertificateIsThatOfItsServer(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			for _, volume := range p.Spec.Volumes {
				for _, s := range sources(volume) {
					if cluster, isCA := strings.CutSuffix(s.name, "-ca"); isCA {
						r.mustVerify(t, s.items[0].Path, cluster+"-rw")
					}
				}
			}
		}
	})
}

// mustVerify holds the DSNs that name a certificate's file against the server
// that it is of.
func (r rendering) mustVerify(t *testing.T, file, server string) {
	t.Helper()
	named := 0
	for name, secret := range r.secrets {
		dsn, err := url.Parse(secret.StringData["dsn"])
		if err != nil {
			t.Fatal(err)
		}
		if path.Base(dsn.Query().Get("sslrootcert")) != file {
			continue
		}
		named++
		if dsn.Hostname() != server {
			t.Errorf("Secret %s: the DSN has %s verified with %s, which is of %s", name, dsn.Hostname(), file, server)
		}
	}
	if named == 0 {
		t.Errorf("%s is mounted, and no DSN names it", file)
	}
}
