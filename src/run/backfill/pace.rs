//! How many rows the next batch has.

use std::time::Duration;

use crate::run::options::BackfillOptions;

/// Weight of the newest batch in the running average.
const WEIGHT: f64 = 0.4;
/// Small batches that went well after which the search for a bad row is given up: it was not the data.
const CALM: u32 = 16;

/// Steers a batch's duration to the target.
#[derive(Clone, Debug)]
pub(in crate::run) struct Pace {
    options: BackfillOptions,
    size: i64,
    seconds_per_row: Option<f64>,
    /// Set while the row that a batch failed at is searched by halving.
    search: Option<u32>,
}

impl Pace {
    /// Starts with `size` rows.
    pub fn new(options: BackfillOptions, size: i64) -> Self {
        Self { options, size: size.max(1), seconds_per_row: None, search: None }
    }

    /// Other options from now on.
    pub fn retarget(&mut self, options: BackfillOptions) {
        self.options = options;
        self.size = self.size.min(options.most).max(1);
    }

    /// Rows of the next batch.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// Whether a bad row is being searched.
    pub fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// A batch over `rows` rows was committed.
    pub fn committed(&mut self, rows: i64, took: Duration) {
        if let Some(calm) = self.search {
            // The bad row is behind this half: halve again.
            self.size = (self.size / 2).max(1);
            self.search = (calm < CALM).then_some(calm + 1);
            if self.search.is_none() {
                self.size = self.options.least;
            }
            return;
        }
        #[allow(clippy::cast_precision_loss)]
        let newest = took.as_secs_f64() / rows.max(1) as f64;
        let average = self.seconds_per_row.map_or(newest, |old| old + WEIGHT * (newest - old));
        self.seconds_per_row = Some(average);
        #[allow(clippy::cast_precision_loss)]
        let factor = (self.options.target.as_secs_f64() / (average * self.size as f64)).clamp(0.5, 2.0);
        // Far from the target by leaps, near it by steps.
        let factor = if factor > 1.2 && factor < 2.0 { 1.2 } else { factor };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let next = (self.size as f64 * factor).ceil() as i64;
        self.size = next.clamp(self.options.least.min(self.options.most), self.options.most);
    }

    /// A batch waited too long or was cancelled: fewer rows hold fewer locks.
    pub fn contended(&mut self) {
        self.size = (self.size / 2).max(1);
    }

    /// A row of a batch of `self.size()` rows does not fit. False when it was the only one.
    pub fn split(&mut self) -> bool {
        if self.size <= 1 {
            return false;
        }
        self.size = (self.size / 2).max(1);
        self.search = Some(0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(size: i64) -> Pace {
        Pace::new(BackfillOptions::default(), size)
    }

    #[test]
    fn settles_at_the_target() {
        let mut pace = pace(1_000);
        for _ in 0..60 {
            // 100 000 rows a second.
            let took = Duration::from_secs_f64(pace.size() as f64 / 100_000.0);
            pace.committed(pace.size(), took);
        }
        assert!((14_000..=16_000).contains(&pace.size()), "{}", pace.size());
    }

    #[test]
    fn grows_twofold_and_shrinks_by_half_at_most() {
        let mut fast = pace(1_000);
        fast.committed(1_000, Duration::from_micros(1));
        assert_eq!(fast.size(), 2_000);
        let mut near = pace(1_000);
        near.committed(1_000, Duration::from_millis(100));
        assert_eq!(near.size(), 1_200);
        let mut slow = pace(1_000);
        slow.committed(1_000, Duration::from_secs(60));
        assert_eq!(slow.size(), 500);
    }

    #[test]
    fn keeps_its_bounds() {
        let mut pace = pace(1_000);
        for _ in 0..100 {
            pace.committed(pace.size(), Duration::ZERO);
        }
        assert_eq!(pace.size(), 50_000);
        for _ in 0..100 {
            pace.committed(pace.size(), Duration::from_secs(60));
        }
        assert_eq!(pace.size(), 100);
    }

    #[test]
    fn finds_any_bad_row_of_a_batch() {
        for bad in 0..777 {
            let mut pace = pace(777);
            let mut first = 0;
            let mut tries = 0;
            loop {
                tries += 1;
                assert!(tries < 30, "row {bad}");
                if (first..first + pace.size()).contains(&bad) {
                    if !pace.split() {
                        break;
                    }
                } else {
                    first += pace.size();
                    pace.committed(pace.size(), Duration::from_millis(1));
                }
            }
            assert_eq!(first, bad);
        }
    }

    #[test]
    fn a_search_without_a_find_ends() {
        let mut pace = pace(1_000);
        assert!(pace.split());
        for _ in 0..=CALM {
            pace.committed(pace.size(), Duration::from_millis(1));
        }
        assert_eq!(pace.size(), 100);
    }
}
