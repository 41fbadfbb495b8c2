//! Metrics of the operator. No names of objects and no messages in labels.

use std::time::Instant;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Bounds of the duration of a reconciliation, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// `wesley_reconciliations_total`.
    pub reconciliations: IntCounterVec,
    /// `wesley_reconcile_duration_seconds`.
    pub duration: HistogramVec,
    /// `wesley_reconcile_errors_total`.
    pub errors: IntCounterVec,
    /// `wesley_watch_errors_total`.
    pub watch_errors: IntCounterVec,
    /// `wesley_kube_requests_total`.
    pub requests: IntCounterVec,
    /// `wesley_leader`.
    pub leader: IntGauge,
    /// `wesley_migrations`.
    pub migrations: IntGaugeVec,
    /// `wesley_runs_total`.
    pub runs: IntCounterVec,
    /// `wesley_run_duration_seconds`.
    pub run_duration: HistogramVec,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// A name that is registered twice: a defect.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histogram =
            |name: &str, help: &str, labels: &[&str], buckets: &[f64]| -> prometheus::Result<HistogramVec> {
                let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
                registry.register(Box::new(metric.clone()))?;
                Ok(metric)
            };
        let reconciliations = counter(
            "wesley_reconciliations_total",
            "Reconciliations by controller and outcome (applied, waiting, failed, abandoned).",
            &["controller", "outcome"],
        )?;
        let duration =
            histogram("wesley_reconcile_duration_seconds", "Duration of reconciliations.", &["controller"], &BUCKETS)?;
        let errors = counter(
            "wesley_reconcile_errors_total",
            "Reconciliations that failed, by class of the error.",
            &["controller", "class"],
        )?;
        let watch_errors = counter("wesley_watch_errors_total", "Watches that failed, by kind.", &["kind"])?;
        let requests = counter(
            "wesley_kube_requests_total",
            "Requests to the API server by verb and class of the answer.",
            &["verb", "code"],
        )?;
        let runs = counter("wesley_runs_total", "Ended runs by action and reason.", &["action", "reason"])?;
        let run_duration = histogram(
            "wesley_run_duration_seconds",
            "Time from the decision on a run to its end.",
            &["action"],
            &[1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0],
        )?;
        let migrations = IntGaugeVec::new(Opts::new("wesley_migrations", "Migrations by phase."), &["phase"])?;
        registry.register(Box::new(migrations.clone()))?;
        let leader = IntGauge::new("wesley_leader", "1 while this process leads.")?;
        registry.register(Box::new(leader.clone()))?;
        let build = IntGaugeVec::new(Opts::new("wesley_build_info", "Version of the operator."), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            registry,
            reconciliations,
            duration,
            errors,
            watch_errors,
            requests,
            leader,
            migrations,
            runs,
            run_duration,
        })
    }

    /// All metrics in the text format.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }

    /// Measures a reconciliation until the guard is dropped.
    pub fn reconciling(&self, controller: &'static str) -> Reconciling {
        Reconciling {
            reconciliations: self.reconciliations.clone(),
            duration: self.duration.with_label_values(&[controller]),
            controller,
            began: Instant::now(),
            outcome: "abandoned",
        }
    }
}

/// A reconciliation that is measured. One that is dropped without an outcome was abandoned.
#[derive(Debug)]
pub struct Reconciling {
    reconciliations: IntCounterVec,
    duration: Histogram,
    controller: &'static str,
    began: Instant,
    outcome: &'static str,
}

impl Reconciling {
    /// It ended so.
    pub fn ended(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Reconciling {
    fn drop(&mut self) {
        self.duration.observe(self.began.elapsed().as_secs_f64());
        self.reconciliations.with_label_values(&[self.controller, self.outcome]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_reconciliation_is_counted() {
        let metrics = Metrics::new().unwrap();
        drop(metrics.reconciling("migration"));
        metrics.reconciling("migration").ended("applied");
        let text = metrics.render().unwrap();
        assert!(
            text.contains(r#"wesley_reconciliations_total{controller="migration",outcome="abandoned"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"wesley_reconciliations_total{controller="migration",outcome="applied"} 1"#), "{text}");
        assert!(text.contains("wesley_build_info"), "{text}");
    }
}
