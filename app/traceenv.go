package app

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// Variables of OpenTelemetry that say whether and where to send traces. The
// library reads the others itself: of headers, timeouts, certificates, sampling.
// Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
const (
	sdkDisabledVariable    = "OTEL_SDK_DISABLED"
	exporterVariable       = "OTEL_TRACES_EXPORTER"
	endpointVariable       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	protocolVariable       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	tracesProtocolVariable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// What those variables can say.
const (
	exporterOTLP     = "otlp"
	exporterConsole  = "console"
	exporterNone     = "none"
	protocolProtobuf = "http/protobuf"

	// defaultEndpoint and tracesPath are OTLP's own.
	// Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
	defaultEndpoint = "http://localhost:4318"
	tracesPath      = "/v1/traces"
)

// traceSettings say where traces go.
type traceSettings struct {
	exporter string // exporterNone for nowhere
	endpoint string // URL of the collector, for exporterOTLP
}

// readTraceSettings reads the environment. Traces are off unless it asks for them.
func readTraceSettings(environ []string) (traceSettings, error) {
	env := variables(environ)
	off := traceSettings{exporter: exporterNone}
	if strings.EqualFold(env[sdkDisabledVariable], "true") {
		return off, nil
	}
	exporter := env[exporterVariable]
	if exporter == "" && env[endpointVariable]+env[tracesEndpointVariable] != "" {
		exporter = exporterOTLP
	}
	switch exporter {
	case "", exporterNone:
		return off, nil
	case exporterConsole:
		return traceSettings{exporter: exporterConsole}, nil
	case exporterOTLP:
		return readOTLP(env)
	}
	return off, fmt.Errorf("%s: there is no exporter %q: use %s, %s or %s", exporterVariable, exporter, exporterOTLP, exporterConsole, exporterNone)
}

// readOTLP reads what is about the collector.
func readOTLP(env map[string]string) (traceSettings, error) {
	settings := traceSettings{exporter: exporterOTLP}
	name, protocol := tracesProtocolVariable, env[tracesProtocolVariable]
	if protocol == "" {
		name, protocol = protocolVariable, cmp.Or(env[protocolVariable], protocolProtobuf)
	}
	if protocol != protocolProtobuf {
		return settings, fmt.Errorf("%s: there is no protocol %q: use %s, which collectors take on port 4318", name, protocol, protocolProtobuf)
	}
	name, whole := tracesEndpointVariable, env[tracesEndpointVariable]
	if whole == "" {
		name, whole = endpointVariable, strings.TrimSuffix(cmp.Or(env[endpointVariable], defaultEndpoint), "/")+tracesPath
	}
	endpoint, err := url.Parse(whole)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" { // the error would show a password in it
		return settings, fmt.Errorf("%s is no URL of a collector: write http://host:4318 or https://host", name)
	}
	settings.endpoint = whole
	return settings, nil
}

// variables are the environment by name; white space around a value does not count.
func variables(environ []string) map[string]string {
	all := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		all[name] = strings.TrimSpace(value)
	}
	return all
}
