// Package cluster drives the manifests on a real cluster with Argo Rollouts, and
// judges what happened by the rows in Postgres: who claimed what, and when.
//
// It takes a cluster (KUBECONFIG), on which Argo Rollouts is installed, and an
// image of the worker (UNDERSTUDY_TEST_IMAGE), and uses kubectl with its plugin
// argo rollouts, as an operator does:
//
//	go test -tags cluster -timeout 30m -v ./integration/cluster
//
// Each test has namespaces of its own, which it removes.
package cluster
