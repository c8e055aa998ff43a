package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// storeMetrics are about the store that sealed segments are copied to.
type storeMetrics struct {
	uploads, uploadBytes prometheus.Counter
	failures             *prometheus.CounterVec
	waiting, oldest      *prometheus.GaugeVec
	held, immutable      *prometheus.GaugeVec
}

// stores defines the metrics of the store.
func (m *Metrics) stores() {
	m.store = storeMetrics{
		uploads:     m.counters("store_uploads_total", "Segments that were stored and read back.").WithLabelValues(),
		uploadBytes: m.counters("store_upload_bytes_total", "Their size.").WithLabelValues(),
		failures:    m.counters("store_failures_total", "Passes over the segments of a partition that failed: something is not stored, or not held.", "partition"),
		waiting:     m.gauges("store_waiting_segments", "Sealed segments that are not stored yet.", "partition"),
		oldest:      m.gauges("store_oldest_waiting_timestamp_seconds", "When the oldest of them was sealed; 0 if none waits.", "partition"),
		held:        m.gauges("store_held_segments", "Segments that the store keeps under legal hold.", "partition"),
		immutable:   m.gauges("immutable_segments", "Segments in the archive's directory that have the immutable flag.", "partition"),
	}
}

// Uploaded counts a segment that was stored.
func (m *Metrics) Uploaded(octets int64) {
	m.store.uploads.Inc()
	m.store.uploadBytes.Add(float64(max(octets, 0)))
}

// A StorePass is how far the segments of a partition were stored after a pass.
type StorePass struct {
	Waiting, Held int
	Oldest        time.Time // seal of the oldest that waits; zero if none does
	Failed        bool
}

// Stored tells of a pass over the segments of a partition.
func (m *Metrics) Stored(partition uint16, p StorePass) {
	label := strconv.Itoa(int(partition))
	m.store.waiting.WithLabelValues(label).Set(float64(p.Waiting))
	m.store.held.WithLabelValues(label).Set(float64(p.Held))
	oldest := 0.0
	if !p.Oldest.IsZero() {
		oldest = float64(p.Oldest.UnixMilli()) / 1000
	}
	m.store.oldest.WithLabelValues(label).Set(oldest)
	failures := m.store.failures.WithLabelValues(label)
	if p.Failed {
		failures.Inc()
	}
}

// Immutable tells how many segments of a partition have the immutable flag.
func (m *Metrics) Immutable(partition uint16, segments int) {
	m.store.immutable.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(segments))
}
