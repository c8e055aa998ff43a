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

// Options say what Metrics are about.
type Options struct {
	// Software is the name and version of the program, for build_info.
	Software string
	// Hosts names, by configured mailbox, the host that its metrics are summed
	// under. A mailbox that is not in it is not measured, so that no message can
	// make a series.
	Hosts map[string]string
	// PerMailbox says whether each mailbox has series of its own.
	PerMailbox bool
}

// Metrics are the numbers of one process, for Prometheus. Its methods may be
// called from many goroutines at once and do not block.
type Metrics struct {
	registry *prometheus.Registry
	defined  []Definition
	hosts    map[string]string // by mailbox
	perBox   bool

	gaugesOf  map[string]*prometheus.Desc // of the states of mailboxes and hosts
	box, host pollerCounters
	logins    *prometheus.CounterVec

	boxSealed, boxSealedBytes              *prometheus.CounterVec
	sealed, sealedBytes, duplicates        prometheus.Counter
	sealSeconds                            prometheus.Histogram
	ledger, index, findings, missing, lost *prometheus.GaugeVec

	drilled, alerted, late           *prometheus.CounterVec
	queueMessages, queueBytes, limit prometheus.Gauge
	failures, envelopes              *prometheus.CounterVec
	store                            storeMetrics

	extractSeconds *prometheus.HistogramVec
	extractWait    prometheus.Histogram
	extractDescs   []*prometheus.Desc // of ExtractionState, in its order
}

// A Definition is what the documentation says of a metric.
type Definition struct {
	Name   string
	Type   string // "counter", "gauge" or "histogram"
	Labels []string
	Help   string
}

// NewMetrics returns metrics with a registry of their own, which also has
// those of the Go runtime and the process.
func NewMetrics(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), hosts: o.Hosts, perBox: o.PerMailbox}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauges("build_info", "The program that runs; always 1.", "software").WithLabelValues(o.Software).Set(1)
	m.states()
	m.sessions()
	m.archive()
	m.stores()
	m.failures = m.counters("failures_total", "Failures by kind and by the room that met them.", "room", "kind")
	return m
}

// Definitions lists the metrics in the order of the documentation, those that
// have no series yet included; those of the Go runtime are left out.
func (m *Metrics) Definitions() []Definition { return m.defined }

func (m *Metrics) archive() {
	m.boxSealed = m.counters("mailbox_sealed_messages_total", "Messages of the mailbox that the ledger sealed, those that came again left out.", "mailbox")
	m.boxSealedBytes = m.counters("mailbox_sealed_bytes_total", "Their size.", "mailbox")
	m.sealed = m.counters("sealed_messages_total", "Deliveries sealed in the ledger.").WithLabelValues()
	m.sealedBytes = m.counters("sealed_bytes_total", "Their size.").WithLabelValues()
	m.duplicates = m.counters("duplicates_total", "Deliveries that were sealed before.").WithLabelValues()
	m.define("seal_seconds", "histogram", "Time from the fetch of a message to its seal.")
	m.sealSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "seal_seconds",
		Help: "Time from the fetch of a message to its seal.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 16)})
	m.registry.MustRegister(m.sealSeconds)
	m.ledger = m.gauges("ledger_records", "Records that the ledger holds durably.", "partition")
	m.findings = m.gauges("verify_findings", "Findings of damage in the ledger that stand.", "partition")
	m.missing = m.gauges("index_missing_records", "Records that cannot be searched because a shard of the index is being built again.", "partition")
	m.drilled = m.counters("drill_messages_total", "Archived messages that drills looked for in the index.", "partition")
	m.lost = m.gauges("drill_lost_messages", "Messages that the last drill did not find in the index.", "partition")
	m.alerted = m.counters("saved_search_messages_total", "Messages that alerts of saved searches told of.", "search")
	m.late = m.counters("saved_search_failures_total", "Alerts of saved searches that could not be delivered, and are tried again.", "search")
	m.index = m.gauges("index_records", "Records that the index has handled.", "partition")
	m.envelopes = m.counters("envelopes_total", "Messages indexed of mailboxes in which mail tells whom it was for, by what told it: a journal report, a field, nothing (none), or a report that is not understood (unparsed).", "found")
	m.extraction()
	m.queueMessages = m.gauges("queue_messages", "Messages that wait for the archive.").WithLabelValues()
	m.queueBytes = m.gauges("queue_bytes", "Octets that wait for the archive.").WithLabelValues()
	m.limit = m.gauges("queue_limit_bytes", "Octets at which polling pauses.").WithLabelValues()
}

// namespace begins the name of each metric.
const namespace = "mailkeep"

func (m *Metrics) define(name, kind, help string, labels ...string) {
	m.defined = append(m.defined, Definition{Name: namespace + "_" + name, Type: kind, Labels: labels, Help: help})
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	m.define(name, "counter", help, labels...)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	m.define(name, "gauge", help, labels...)
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

// Sealed counts n deliveries of together octets octets, sealed by one batch.
func (m *Metrics) Sealed(n int, octets int64) {
	m.sealed.Add(float64(max(n, 0)))
	m.sealedBytes.Add(float64(max(octets, 0)))
}

// Receipt counts one receipt: a duplicate as such, any other for its mailbox
// and with the time from its fetch to its seal.
func (m *Metrics) Receipt(r mail.Receipt) {
	if r.Duplicate {
		m.duplicates.Inc()
		return
	}
	if _, known := m.hosts[r.Mailbox]; known && m.perBox {
		m.boxSealed.WithLabelValues(r.Mailbox).Inc()
		m.boxSealedBytes.WithLabelValues(r.Mailbox).Add(float64(max(r.Size, 0)))
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

// Findings sets how many findings of damage stand in a partition's ledger.
func (m *Metrics) Findings(partition uint16, n int) {
	m.findings.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(n))
}

// Alert counts messages that an alert of a saved search told of, or that it could not
// be delivered.
func (m *Metrics) Alert(search string, messages uint64, err error) {
	if err != nil {
		m.late.WithLabelValues(search).Inc()
		return
	}
	m.alerted.WithLabelValues(search).Add(float64(messages))
}

// Drill counts what came of looking for messages in the index of a partition.
func (m *Metrics) Drill(partition uint16, d mail.Drill) {
	p := strconv.Itoa(int(partition))
	m.drilled.WithLabelValues(p).Add(float64(d.Asked))
	m.lost.WithLabelValues(p).Set(float64(d.Lost))
}

// IndexMissing sets how many records of a partition cannot be searched because a
// shard of its index failed.
func (m *Metrics) IndexMissing(partition uint16, records uint64) {
	m.missing.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(records))
}

// Index sets how far the index of a partition has come, and the size of the
// ledger that it knows.
func (m *Metrics) Index(c mail.Cursor) {
	m.index.WithLabelValues(strconv.Itoa(int(c.Partition))).Set(float64(c.Position))
}

// Envelope counts a message by what told its envelope: "journal", "field",
// "none" or "unparsed".
func (m *Metrics) Envelope(found string) { m.envelopes.WithLabelValues(found).Inc() }

// Queue sets what waits for the archive; a limit of 0 is none.
func (m *Metrics) Queue(messages, octets, limit uint64) {
	m.queueMessages.Set(float64(messages))
	m.queueBytes.Set(float64(octets))
	m.limit.Set(float64(limit))
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
