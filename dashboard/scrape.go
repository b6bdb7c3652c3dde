package dashboard

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrape serves the metrics. Whoever scrapes at the same time shares an answer.
func (s *site) scrape() http.Handler {
	gather := prometheus.GathererFunc(quietly(s.Gatherer.Gather, s.Log))
	return promhttp.HandlerFor(gather, promhttp.HandlerOpts{CoalesceGather: true})
}

// quietly tells the log, rather than the client, what could not be gathered:
// it is left out, and the scrape succeeds.
func quietly[Family any](gather func() ([]Family, error), log *slog.Logger) func() ([]Family, error) {
	return func() ([]Family, error) {
		families, err := gather()
		if err != nil {
			log.Warn("gather metrics", "err", err)
		}
		return families, nil
	}
}
