package actioncache

import "github.com/prometheus/client_golang/prometheus"

// metrics counts how requests end.
type metrics struct {
	hit, absent, incomplete, bad, failed prometheus.Counter
	stored, refused, notStored           prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_action_cache_lookups_total",
		Help: "Action results asked for, by outcome: hit, absent, incomplete (a blob it refers to is missing), bad (the stored result, or a tree of it, is corrupt or against the protocol), failed.",
	}, []string{"outcome"})
	updates := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_action_cache_updates_total",
		Help: "Action results given to store, by outcome: stored, refused (against the protocol), failed.",
	}, []string{"outcome"})
	if reg != nil {
		reg.MustRegister(lookups, updates)
	}
	return metrics{
		hit:        lookups.WithLabelValues("hit"),
		absent:     lookups.WithLabelValues("absent"),
		incomplete: lookups.WithLabelValues("incomplete"),
		bad:        lookups.WithLabelValues("bad"),
		failed:     lookups.WithLabelValues("failed"),
		stored:     updates.WithLabelValues("stored"),
		refused:    updates.WithLabelValues("refused"),
		notStored:  updates.WithLabelValues("failed"),
	}
}
