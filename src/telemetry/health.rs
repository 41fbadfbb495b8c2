//! Whether the process lives and is ready.
//!
//! Living means that the event loop turns and no reconciliation hangs; a database or API server that does not answer
//! is no reason to be killed. Ready means that the stores are filled, also while another replica leads.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A loop that has not turned for so long hangs.
const BEAT_MAX: Duration = Duration::from_secs(60);

/// A reconciliation that takes so long hangs: each of its calls is bounded to half a minute.
const RECONCILE_MAX: Duration = Duration::from_secs(600);

/// State of health.
#[derive(Debug)]
pub struct Health {
    ready: AtomicBool,
    next: AtomicU64,
    beat: Mutex<Instant>,
    running: Mutex<HashMap<u64, Instant>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            ready: AtomicBool::new(false),
            next: AtomicU64::new(0),
            beat: Mutex::new(Instant::now()),
            running: Mutex::new(HashMap::new()),
        }
    }
}

impl Health {
    /// The event loop turns.
    pub fn beat(&self) {
        if let Ok(mut beat) = self.beat.lock() {
            *beat = Instant::now();
        }
    }

    /// The stores are filled.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether [`Self::set_ready`] was called.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// A reconciliation begins; it ends when the guard is dropped.
    pub fn begin(&self) -> Running<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut running) = self.running.lock() {
            running.insert(id, Instant::now());
        }
        Running { health: self, id }
    }

    /// Whether nothing hangs at `now`.
    pub fn is_alive(&self, now: Instant) -> bool {
        let beats = self.beat.lock().is_ok_and(|beat| now.saturating_duration_since(*beat) < BEAT_MAX);
        let flows = self
            .running
            .lock()
            .is_ok_and(|running| running.values().all(|since| now.saturating_duration_since(*since) < RECONCILE_MAX));
        beats && flows
    }
}

/// A reconciliation that goes on.
#[derive(Debug)]
pub struct Running<'a> {
    health: &'a Health,
    id: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.health.running.lock() {
            running.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_does_not_live() {
        let health = Health::default();
        let now = Instant::now();
        assert!(health.is_alive(now));
        assert!(!health.is_alive(now + BEAT_MAX + Duration::from_secs(1)), "the loop stands still");
        let running = health.begin();
        let later = Instant::now() + RECONCILE_MAX;
        *health.beat.lock().unwrap() = later;
        assert!(!health.is_alive(later), "a reconciliation hangs");
        drop(running);
        assert!(health.is_alive(later));
    }

    #[test]
    fn ready_is_said_once() {
        let health = Health::default();
        assert!(!health.is_ready());
        health.set_ready();
        assert!(health.is_ready());
    }
}
