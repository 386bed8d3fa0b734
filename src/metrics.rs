//! Metrics for monitoring, in the text format of OpenMetrics.

use std::sync::{Arc, atomic::AtomicI64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Uploads by outcome: `accepted`, or the reason of the failure.
    pub uploads: Family<Outcome, Counter>,
    /// Worker processes lost during a job or while idle, by cause.
    pub worker_faults: Family<Kind, Counter>,
    /// Worker processes replaced after a completed job, by cause.
    pub worker_retirements: Family<Kind, Counter>,
    /// Worker processes started.
    pub worker_starts: Counter,
    /// Worker processes, idle or busy.
    pub workers: Gauge<i64, AtomicI64>,
    /// Uploads that hold a queue permit.
    pub queue_permits: Gauge<i64, AtomicI64>,
    registry: Arc<Registry>,
}

/// Label of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "the field has the name of the type")]
pub struct Outcome {
    pub outcome: &'static str,
}

/// Label of a cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "the field has the name of the type")]
pub struct Kind {
    pub kind: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("veraicon");
        let uploads = Family::default();
        let worker_faults = Family::default();
        let worker_retirements = Family::default();
        let worker_starts = Counter::default();
        let workers = Gauge::default();
        let queue_permits = Gauge::default();
        registry.register("uploads", "Uploads by outcome", uploads.clone());
        registry.register(
            "worker_faults",
            "Worker processes lost, by cause",
            worker_faults.clone(),
        );
        registry.register(
            "worker_retirements",
            "Worker processes replaced after a completed job, by cause",
            worker_retirements.clone(),
        );
        registry.register(
            "worker_starts",
            "Worker processes started",
            worker_starts.clone(),
        );
        registry.register("workers", "Worker processes", workers.clone());
        registry.register(
            "queue_permits",
            "Uploads that wait or are processed",
            queue_permits.clone(),
        );
        Self {
            uploads,
            worker_faults,
            worker_retirements,
            worker_starts,
            workers,
            queue_permits,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// Counts an upload by its outcome: `accepted`, or the reason of its failure.
    pub fn count_upload(&self, outcome: &'static str) {
        self.uploads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Returns the current values of all metrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
