package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailkeep/mailkeep/mail"
)

// An ExtractionState is what the processes that read documents do at one time.
type ExtractionState struct {
	Running int // documents that are being read
	Waiting int // documents that wait for a process
	Started int // processes, since the start of this one
	Lost    int // of them, those that crashed or were killed
}

// extraction defines the metrics of what reads attached documents.
func (m *Metrics) extraction() {
	const seconds, wait = "Time that attached documents took to read, by kind and by what became of the text: ok, truncated, encrypted, failed, timeout and others.",
		"Time that documents waited for a process."
	m.define("extraction_seconds", "histogram", seconds, "kind", "status")
	m.extractSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "extraction_seconds", Help: seconds,
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"kind", "status"})
	m.define("extraction_wait_seconds", "histogram", wait)
	m.extractWait = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "extraction_wait_seconds", Help: wait,
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)})
	m.registry.MustRegister(m.extractSeconds, m.extractWait)
	for _, d := range []struct{ name, kind, help string }{
		{"extraction_running_documents", "gauge", "Documents that are being read."},
		{"extraction_waiting_documents", "gauge", "Documents that wait for a process."},
		{"extraction_processes_started_total", "counter", "Processes started to read documents."},
		{"extraction_processes_lost_total", "counter", "Processes that crashed, or were killed for the time that they took."},
	} {
		m.define(d.name, d.kind, d.help)
		m.extractDescs = append(m.extractDescs, prometheus.NewDesc(namespace+"_"+d.name, d.help, nil, nil))
	}
}

// Extracted counts a document that was read: took without what it waited for a
// process. A kind is one of a short list, never text of a document.
func (m *Metrics) Extracted(kind string, status mail.TextStatus, took, waited time.Duration) {
	if kind == "" {
		kind = "unknown"
	}
	m.extractSeconds.WithLabelValues(kind, string(status)).Observe(took.Seconds())
	m.extractWait.Observe(waited.Seconds())
}

// WatchExtraction exports what the function returns, at each scrape. It is
// called once, by a process that reads documents.
func (m *Metrics) WatchExtraction(state func() ExtractionState) {
	m.registry.MustRegister(&extractionCollector{descs: m.extractDescs, state: state})
}

// An extractionCollector asks for a state when it is scraped.
type extractionCollector struct {
	descs []*prometheus.Desc
	state func() ExtractionState
}

// Describe implements prometheus.Collector.
func (c *extractionCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *extractionCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.state()
	for i, n := range []int{s.Running, s.Waiting, s.Started, s.Lost} {
		kind := prometheus.GaugeValue
		if i >= 2 {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(c.descs[i], kind, float64(n))
	}
}
