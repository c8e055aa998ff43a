package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one process, for Prometheus. Its methods may be
// called from many goroutines at once and do not block.
type Metrics struct {
	registry *prometheus.Registry

	sessions, fetched, deleted, fetchedOctets *prometheus.CounterVec
	listed, held, success                     *prometheus.GaugeVec
	sealed, sealedOctets, duplicates          prometheus.Counter
	sealSeconds                               prometheus.Histogram
	ledger, index                             *prometheus.GaugeVec
	queueMessages, queueOctets, queueLimit    prometheus.Gauge
	failures                                  *prometheus.CounterVec
}

// NewMetrics returns metrics with a registry of their own, which also has
// those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.poller()
	m.archive()
	m.failures = m.counters("failures_total", "Failures by kind and by the room that met them.", "room", "kind")
	return m
}

func (m *Metrics) poller() {
	m.sessions = m.counters("sessions_total", "POP3 sessions that logged in.", "mailbox", "outcome")
	m.fetched = m.counters("messages_fetched_total", "Messages retrieved.", "mailbox")
	m.fetchedOctets = m.counters("fetched_octets_total", "Octets of retrieved messages that were sealed, as listed.", "mailbox")
	m.deleted = m.counters("messages_deleted_total", "Deletions that the server accepted.", "mailbox")
	m.listed = m.gauges("messages_listed", "Messages in the last listing.", "mailbox")
	m.held = m.gauges("messages_held", "Messages left on the server on purpose in the last session.", "mailbox")
	m.success = m.gauges("last_success_timestamp_seconds", "End of the last session that went well, in Unix time.", "mailbox")
}

func (m *Metrics) archive() {
	m.sealed = m.counter("messages_sealed_total", "Deliveries sealed in the ledger.")
	m.sealedOctets = m.counter("sealed_octets_total", "Octets of the deliveries sealed.")
	m.duplicates = m.counter("duplicates_total", "Deliveries that were sealed before.")
	m.sealSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "mailkeep", Name: "seal_seconds",
		Help: "Time from the fetch of a message to its seal.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 16)})
	m.registry.MustRegister(m.sealSeconds)
	m.ledger = m.gauges("ledger_size", "Records that the ledger holds durably.", "partition")
	m.index = m.gauges("index_position", "Records that the index has handled.", "partition")
	m.queueMessages = m.gauge("queue_messages", "Messages that wait for the archive.")
	m.queueOctets = m.gauge("queue_octets", "Octets that wait for the archive.")
	m.queueLimit = m.gauge("queue_limit_octets", "Octets at which polling pauses.")
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "mailkeep", Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mailkeep", Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "mailkeep", Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "mailkeep", Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

// Drained counts one session, from the report that it leaves.
func (m *Metrics) Drained(d mail.Drain) {
	m.sessions.WithLabelValues(d.Mailbox, d.Outcome).Inc()
	m.fetched.WithLabelValues(d.Mailbox).Add(float64(max(d.Fetched, 0)))
	m.deleted.WithLabelValues(d.Mailbox).Add(float64(max(d.Deleted, 0)))
	m.listed.WithLabelValues(d.Mailbox).Set(float64(d.Listed))
	m.held.WithLabelValues(d.Mailbox).Set(float64(d.Held))
	m.fetchedOctets.WithLabelValues(d.Mailbox).Add(float64(sealedOctets(d.Rows)))
	if d.Outcome == "ok" {
		m.success.WithLabelValues(d.Mailbox).Set(float64(d.Ended.UnixNano()) / 1e9)
	}
}

func sealedOctets(rows []mail.DrainRow) (n int64) {
	for _, r := range rows {
		if r.ID != nil {
			n += max(r.Size, 0)
		}
	}
	return n
}

// Sealed counts n deliveries of together octets octets, sealed by one batch.
func (m *Metrics) Sealed(n int, octets int64) {
	m.sealed.Add(float64(max(n, 0)))
	m.sealedOctets.Add(float64(max(octets, 0)))
}

// Receipt counts one receipt: a duplicate as such, any other with the time
// from its fetch to its seal.
func (m *Metrics) Receipt(r mail.Receipt) {
	if r.Duplicate {
		m.duplicates.Inc()
		return
	}
	if !r.Fetched.IsZero() && !r.SealedAt.IsZero() {
		m.SealLatency(r.SealedAt.Sub(r.Fetched))
	}
}

// SealLatency observes the time that one delivery took from its fetch to its
// seal. Clocks of two machines may make it negative; that counts as 0.
func (m *Metrics) SealLatency(d time.Duration) { m.sealSeconds.Observe(max(d, 0).Seconds()) }

// Ledger sets the durable size of a partition's ledger, in records.
func (m *Metrics) Ledger(partition uint16, size uint64) {
	m.ledger.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(size))
}

// Index sets how far the index of a partition has come, and the size of the
// ledger that it knows.
func (m *Metrics) Index(c mail.Cursor) {
	m.index.WithLabelValues(strconv.Itoa(int(c.Partition))).Set(float64(c.Position))
}

// Queue sets what waits for the archive; a limit of 0 is none.
func (m *Metrics) Queue(messages, octets, limit uint64) {
	m.queueMessages.Set(float64(messages))
	m.queueOctets.Set(float64(octets))
	m.queueLimit.Set(float64(limit))
}

// Failed counts an error by its mail.Kind, and by the room that met it, such
// as "poller". A nil error is not counted.
func (m *Metrics) Failed(room string, err error) {
	if err != nil {
		m.failures.WithLabelValues(room, mail.KindOf(err).String()).Inc()
	}
}

// Handler serves the metrics in the formats that Prometheus reads.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
