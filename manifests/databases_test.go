package manifests

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// databases are those that each server makes, by the host that leads to it.
func (r rendering) databases(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, server := range of[apps.StatefulSet](r) {
		pod := server.Spec.Template.Spec
		for _, variable := range pod.Containers[0].Env {
			if variable.Name == "POSTGRES_DB" {
				all[server.Name] = append(all[server.Name], variable.Value)
			}
		}
		for _, volume := range pod.Volumes {
			if volume.ConfigMap != nil {
				all[server.Name] = append(all[server.Name], made(r.sqlOf(volume.ConfigMap.Name)...)...)
			}
		}
	}
	for _, o := range r.objects {
		if o.kind == "Cluster" {
			all[o.name+"-rw"] = append(all[o.name+"-rw"], first(o.fields, "spec.bootstrap.initdb.database"))
		}
	}
	return all
}

// sqlOf are the files of a ConfigMap.
func (r rendering) sqlOf(name string) (files []string) {
	for _, config := range of[core.ConfigMap](r) {
		if config.Name == name {
			for _, text := range config.Data {
				files = append(files, text)
			}
		}
	}
	return files
}

var createDatabase = regexp.MustCompile(`(?m)^CREATE DATABASE (\w+)`)

// made are the databases that SQL makes.
func made(files ...string) (all []string) {
	for _, text := range files {
		for _, match := range createDatabase.FindAllStringSubmatch(text, -1) {
			all = append(all, match[1])
		}
	}
	return all
}

func TestEachDSNLeadsToADatabaseThatItsServerMakes(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		databases := r.databases(t)
		if len(databases) == 0 {
			return // it has no server of its own
		}
		for name, secret := range r.secrets {
			if secret.StringData["dsn"] == "" {
				continue
			}
			dsn, err := url.Parse(secret.StringData["dsn"])
			if err != nil {
				t.Fatal(err)
			}
			host, _, _ := strings.Cut(dsn.Hostname(), ".")
			database := strings.TrimPrefix(dsn.Path, "/")
			if _, known := databases[host]; !known && strings.HasPrefix(r.name, "user") {
				continue // the user has given the server another name
			}
			if !slices.Contains(databases[host], database) {
				t.Errorf("%s: database %s is none of those that %s makes: %q", name, database, host, databases[host])
			}
			if own := name == "worker-preview"; own != (database == "understudy_preview") {
				t.Errorf("%s: its database is %s: previews have one of their own", name, database)
			}
		}
	})
}

// CloudNativePG sends a file as one query, which is one transaction.
func TestNoFileThatCloudNativePGRunsMakesADatabase(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if o.kind != "Cluster" {
				continue
			}
			for _, ref := range find(o.fields, "spec.bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs[]") {
				for _, config := range of[core.ConfigMap](r) {
					if config.Name == first(ref, "name") && made(config.Data[first(ref, "key")]) != nil {
						t.Errorf("%s runs %s, which makes a database", o, first(ref, "key"))
					}
				}
			}
			// A database's owner is who works in it, or nobody at all.
			if owner := first(o.fields, "spec.bootstrap.initdb.owner"); owner == "understudy_preview" {
				secret := r.secrets[first(o.fields, "spec.bootstrap.initdb.secret.name")]
				if secret == nil || secret.StringData["username"] != owner || secret.StringData["password"] == "" {
					t.Errorf("%s: the Secret of its database's owner is not for %s", o, owner)
				}
			}
		}
	})
}
