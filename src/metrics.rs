//! Counts for whoever watches the service, in the text form of OpenMetrics.

use std::sync::{Arc, atomic::AtomicI64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Uploads by what came of them: `accepted`, or the reason of their failure.
    pub uploads: Family<Outcome, Counter>,
    /// Worker processes that were lost at a picture or idle, by how.
    pub worker_faults: Family<Kind, Counter>,
    /// Worker processes that were replaced though they had done all that they were asked, by why.
    pub worker_retirements: Family<Kind, Counter>,
    /// Worker processes that have been started.
    pub worker_starts: Counter,
    /// Worker processes that are ready or at work.
    pub workers: Gauge<i64, AtomicI64>,
    /// Uploads that hold a place in the queue.
    pub places: Gauge<i64, AtomicI64>,
    registry: Arc<Registry>,
}

/// What came of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "the field is named after what it is")]
pub struct Outcome {
    pub outcome: &'static str,
}

/// How or why something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "the field is named after what it is")]
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
        let places = Gauge::default();
        registry.register("uploads", "Uploads by outcome", uploads.clone());
        registry.register(
            "worker_faults",
            "Worker processes lost, by how",
            worker_faults.clone(),
        );
        registry.register(
            "worker_retirements",
            "Worker processes replaced after their work, by why",
            worker_retirements.clone(),
        );
        registry.register(
            "worker_starts",
            "Worker processes started",
            worker_starts.clone(),
        );
        registry.register("workers", "Worker processes", workers.clone());
        registry.register("places", "Uploads at work or waiting", places.clone());
        Self {
            uploads,
            worker_faults,
            worker_retirements,
            worker_starts,
            workers,
            places,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// Counts an upload by its outcome: `accepted`, or the reason of its failure.
    pub fn count_upload(&self, outcome: &'static str) {
        self.uploads.get_or_create(&Outcome { outcome }).inc();
    }

    /// All counts as they stand.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
