//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"strings"
)

// store gives the deployment's claims volumes, where the cluster makes none by
// itself: directories of a node, which a pod makes and gives to postgres.
func (d *deployment) store() {
	d.t.Helper()
	if strings.Contains(kubectl(d.t, "get", "storageclass", "-o", "yaml"), `storageclass.kubernetes.io/is-default-class: "true"`) {
		return
	}
	d.inDirectories("make", "mkdir -p /volumes/%[1]s/postgres /volumes/%[1]s/postgres-preview && chown -R 999:999 /volumes/%[1]s")
	var volumes strings.Builder
	for _, server := range []string{"postgres", "postgres-preview"} {
		fmt.Fprintf(&volumes, `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-%[2]s}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: %[1]s, name: data-%[2]s-0}
  hostPath: {path: /var/lib/understudy-test/%[1]s/%[2]s}
`, d.namespace, server)
	}
	if _, err := run(d.t.Context(), volumes.String(), "kubectl", "create", "-f", "-"); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		ctx := context.WithoutCancel(d.t.Context())
		if _, err := run(ctx, "", "kubectl", "delete", "pv", d.namespace+"-postgres", d.namespace+"-postgres-preview"); err != nil {
			d.t.Error(err)
		}
		d.inDirectories("remove", "rm -rf /volumes/%[1]s")
	})
}

// inDirectories runs a command in a pod that has the directories of all volumes.
func (d *deployment) inDirectories(name, command string) {
	d.t.Helper()
	ctx := context.WithoutCancel(d.t.Context())
	pod := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s-%[2]s, namespace: default}
spec:
  restartPolicy: Never
  containers:
    - name: shell
      image: postgres:17
      command: [sh, -c, %[3]q]
      volumeMounts: [{name: volumes, mountPath: /volumes}]
  volumes: [{name: volumes, hostPath: {path: /var/lib/understudy-test, type: DirectoryOrCreate}}]
`, d.namespace, name, fmt.Sprintf(command, d.namespace))
	_, err := run(ctx, pod, "kubectl", "create", "-f", "-")
	if err == nil {
		_, err = run(ctx, "", "kubectl", "wait", "--namespace=default", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=100s", "pod/"+d.namespace+"-"+name)
	}
	if err == nil {
		_, err = run(ctx, "", "kubectl", "delete", "pod", "--namespace=default", d.namespace+"-"+name)
	}
	if err != nil {
		d.t.Error(err)
	}
}
