package manifests

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// secrets are Secrets by name.
type secrets map[string]*core.Secret

// secretsFor are the arguments of secrets.sh for what takes any.
var secretsFor = map[string][]string{
	"separate-servers": {"--separate-servers"},
	"production":       {"--production", namespace},
}

// secretsOf are the Secrets that secrets.sh prints for a rendering.
func secretsOf(name string) (secrets, error) {
	out, err := exec.Command("./secrets.sh", secretsFor[name]...).Output()
	if err != nil {
		return nil, err
	}
	all := secrets{}
	for _, text := range strings.Split(string(out), "---\n")[1:] {
		o, err := decode([]byte(text))
		if err != nil {
			return nil, err
		}
		all[o.name] = o.typed.(*core.Secret)
	}
	return all, nil
}

func TestEverySecretThatSecretsShPrintsIsReferredTo(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		if len(of[apps.StatefulSet](r)) == 0 && r.name != "production" {
			return // it has no server of its own
		}
		wanted := map[string]bool{}
		for _, ref := range references(t, r) {
			wanted[ref.name] = wanted[ref.name] || ref.kind == "Secret"
		}
		for name := range r.secrets {
			if !wanted[name] {
				t.Errorf("nothing refers to Secret %s", name)
			}
		}
	})
}

func TestTheDSNsHoldTheServersPasswords(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for name, secret := range r.secrets {
			if secret.StringData["dsn"] == "" {
				continue
			}
			dsn, err := url.Parse(secret.StringData["dsn"])
			if err != nil {
				t.Fatal(err)
			}
			login := strings.TrimPrefix(name, "worker-")
			password, _ := dsn.User.Password()
			if dsn.User.Username() != "understudy_"+login || len(password) < 32 || password != r.serverPassword(secret, dsn.Hostname(), login) {
				t.Errorf("%s: its DSN's login or password is not the one that the server %s has", name, dsn.Hostname())
			}
		}
	})
}

// serverPassword is what a server has as a login's password. CloudNativePG takes
// it from the Secret of the DSN, a StatefulSet's server from one of its own.
func (r rendering) serverPassword(secret *core.Secret, host, login string) string {
	if secret.Type == core.SecretTypeBasicAuth {
		return secret.StringData["password"]
	}
	if passwords := r.secrets[host+"-passwords"]; passwords != nil {
		return passwords.StringData[login]
	}
	return ""
}

func TestSecretsShPrintsOtherPasswordsEachTime(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		again, err := secretsOf(r.name)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range r.secrets {
			for key, value := range secret.StringData {
				if key != "username" && again[name].StringData[key] == value {
					t.Errorf("%s of Secret %s is the same each time", key, name)
				}
			}
		}
	})
}

func TestSecretsShPrintsNothingWhereNoRandomPasswordsAreToBeHad(t *testing.T) {
	t.Parallel()
	broken := map[string]string{
		"tr": "exit 1", "tr that ends early": "head -c 5 /dev/urandom | od -An -tx1", "head": "exit 1", "head that keeps less": "exec dd bs=1 count=31 status=none",
	}
	for name, does := range broken {
		command, _, _ := strings.Cut(name, " ")
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, command), []byte("#!/bin/sh\nPATH="+os.Getenv("PATH")+"\n"+does+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, arguments := range [][]string{nil, {"--separate-servers"}, {"--production", namespace}} {
			cmd := exec.Command("./secrets.sh", arguments...)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err == nil || len(out) > 0 || !strings.Contains(said.String(), "/dev/urandom") {
				t.Errorf("%s is broken, secrets.sh %v: %v, says %q, and prints %s", name, arguments, err, said.String(), out)
			}
		}
	}
}

func TestSecretsShTakesNoOtherNamespaceThanKubernetesDoes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", `shop"`, "shop: x", "shop\n", "a\nb", "-shop", "shop-", "Shop", "shop.svc", "$(id)", "shöp", "a b", strings.Repeat("a", 64)} {
		out, err := exec.Command("./secrets.sh", "--production", name).CombinedOutput()
		if err == nil || strings.Contains(string(out), "kind: Secret") || !strings.Contains(string(out), "namespace") {
			t.Errorf("namespace %q: %v: %s", name, err, out)
		}
	}
	for _, name := range []string{"a", "0", "shop-2", strings.Repeat("a", 63)} {
		if out, err := exec.Command("./secrets.sh", "--production", name).CombinedOutput(); err != nil {
			t.Errorf("namespace %q: %v: %s", name, err, out)
		}
	}
}

func TestSecretsShRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{{"--productoin"}, {"--production"}, {"--separate-servers", "shop"}} {
		out, err := exec.Command("./secrets.sh", arguments...).CombinedOutput()
		if err == nil || strings.Contains(string(out), "kind: Secret") || !strings.Contains(string(out), "--separate-servers") {
			t.Errorf("secrets.sh %v: %v: %s", arguments, err, out)
		}
	}
}

// plain is a password, or a DSN, in plain sight.
var plain = regexp.MustCompile(`(?i)postgres(ql)?://|password[=:]\s*\S|password '`)

func TestNoManifestHoldsADSNOrAPassword(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if found := plain.FindString(o.text); found != "" || o.kind == "Secret" {
				t.Errorf("%s: %q", o, found)
			}
		}
	})
}

func TestNoEnvironmentVariableHoldsASecret(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				if len(c.EnvFrom) > 0 {
					t.Errorf("%s, container %s: takes all of a ConfigMap or Secret", p.of, c.Name)
				}
				for _, variable := range c.Env {
					if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
						t.Errorf("%s, container %s: %s is from a Secret", p.of, c.Name, variable.Name)
					}
				}
			}
		}
	})
}
