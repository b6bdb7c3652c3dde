//go:build pins

package manifests

// Modules of which the tests read the definitions of custom resources: imported
// for go.mod to require them, and never compiled.
import (
	_ "github.com/cloudnative-pg/cloudnative-pg/pkg/versions"
	_ "github.com/kedacore/keda/v2/version"
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
)
