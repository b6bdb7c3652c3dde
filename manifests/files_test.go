package manifests

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// holds says whether a container has a file: whether a ConfigMap or a Secret
// that has such a key is mounted there.
func (r rendering) holds(p pod, c core.Container, file string) bool {
	for _, mount := range c.VolumeMounts {
		name, below := strings.CutPrefix(file, mount.MountPath+"/")
		if !below {
			continue
		}
		for _, volume := range p.Spec.Volumes {
			if volume.Name == mount.Name && slices.ContainsFunc(sources(volume), func(s source) bool { return r.offers(s, name) }) {
				return true
			}
		}
	}
	return false
}

// offers says whether a file of that name comes of a source.
func (r rendering) offers(s source, file string) bool {
	keys, _ := r.keys(s.kind, s.name)
	if len(s.items) == 0 {
		return slices.Contains(keys, file)
	}
	return slices.ContainsFunc(s.items, func(item core.KeyToPath) bool {
		return item.Path == file && slices.Contains(keys, item.Key)
	})
}

// needs are the files that a container of ours reads: those that its arguments
// name, the DSNs of the targets that it works on, and what these name.
func (r rendering) needs(t *testing.T, c core.Container) (files []string) {
	t.Helper()
	only := ""
	for _, arg := range c.Args {
		flag, value, _ := strings.Cut(arg, "=")
		if path.IsAbs(value) {
			files = append(files, value)
		}
		if flag == "--target" {
			only = value
		}
	}
	for name, target := range configurationOf(t, r).Targets {
		if only == "" || only == name {
			file := target.DSNFile
			if c.Args[0] == "migrate" && target.MigrateDSNFile != "" {
				file = target.MigrateDSNFile
			}
			files = append(files, file)
			files = append(files, r.rootCertificate(t, file)...)
		}
	}
	return files
}

// rootCertificate is the file that the DSN in a file names, if it does.
func (r rendering) rootCertificate(t *testing.T, file string) []string {
	t.Helper()
	secret := r.secrets["worker-"+path.Base(path.Dir(file))]
	if secret == nil {
		t.Fatalf("no Secret is known to be mounted as %s", file)
	}
	dsn, err := url.Parse(secret.StringData["dsn"])
	if err != nil {
		t.Fatal(err)
	}
	if certificate := dsn.Query().Get("sslrootcert"); certificate != "" {
		return []string{certificate}
	}
	return nil
}

func TestEveryFileThatAContainerOfOursReadsIsMounted(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		checked := 0
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				if c.Name == "postgres" {
					continue
				}
				for _, file := range r.needs(t, c) {
					checked++
					if !r.holds(p, c, file) {
						t.Errorf("%s, container %s: %s is not mounted", p.of, c.Name, file)
					}
				}
			}
		}
		if checked < 10 {
			t.Errorf("only %d files were looked for", checked)
		}
	})
}

// The files of a subPath never change: neither would the role, nor a password.
func TestNothingIsMountedAsASubPath(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				for _, mount := range c.VolumeMounts {
					if mount.SubPath != "" || mount.SubPathExpr != "" {
						t.Errorf("%s, container %s: %s is mounted as a subPath", p.of, c.Name, mount.MountPath)
					}
				}
			}
		}
	})
}

func TestTheWorkerFindsItsLabels(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			if p.role != "" && !slices.ContainsFunc(p.Spec.Containers[0].VolumeMounts, p.areLabels) {
				t.Errorf("%s: no file /etc/podinfo/labels holds metadata.labels", p.of)
			}
		}
	})
}

func (p pod) areLabels(mount core.VolumeMount) bool {
	return mount.MountPath == "/etc/podinfo" && slices.ContainsFunc(p.Spec.Volumes, func(volume core.Volume) bool {
		return volume.Name == mount.Name && volume.DownwardAPI != nil && slices.ContainsFunc(volume.DownwardAPI.Items, isLabels)
	})
}

func isLabels(file core.DownwardAPIVolumeFile) bool {
	return file.Path == "labels" && file.FieldRef != nil && file.FieldRef.FieldPath == "metadata.labels"
}
