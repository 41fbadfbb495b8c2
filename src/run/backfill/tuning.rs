//! Speed of a backfill and its limits, which may change while it runs: they are read again from a file.

use std::path::PathBuf;
use std::time::Duration;

use crate::api::backfill::BackfillTuning;
use crate::run::options::{BackfillOptions, Holds, Options};

/// What holds at the moment.
#[derive(Clone, Debug)]
pub(super) struct Tuning {
    /// Sizes and pauses.
    pub pace: BackfillOptions,
    /// Limits over which it waits.
    pub holds: Holds,
    given: (BackfillOptions, Holds),
    file: Option<PathBuf>,
    read: Vec<u8>,
}

impl Tuning {
    /// As the options say, and the file that they name, if it exists.
    pub fn new(options: &Options) -> Self {
        let given = (options.backfill, options.holds.clone());
        let (pace, holds) = given.clone();
        let mut tuning = Self { pace, holds, given, file: options.tuning.clone(), read: Vec::new() };
        tuning.refresh();
        tuning
    }

    /// Reads the file again; true when it says something else than before. What cannot be read changes nothing.
    pub fn refresh(&mut self) -> bool {
        let Some(bytes) = self.file.as_ref().and_then(|file| std::fs::read(file).ok()) else { return false };
        if bytes == self.read {
            return false;
        }
        match serde_json::from_slice::<BackfillTuning>(&bytes) {
            Ok(wanted) => {
                self.pace = pace(self.given.0, &wanted);
                self.holds = holds(self.given.1.clone(), &wanted);
            }
            Err(error) => tracing::warn!(line = error.line(), "spec.backfill cannot be read; what held before goes on"),
        }
        self.read = bytes;
        true
    }
}

fn pace(given: BackfillOptions, wanted: &BackfillTuning) -> BackfillOptions {
    let target = wanted.batch_milliseconds.and_then(|milliseconds| u64::try_from(milliseconds).ok());
    let rows_per_second = wanted.rows_per_second_max.or(given.rows_per_second);
    BackfillOptions {
        target: target.map_or(given.target, Duration::from_millis),
        nice: wanted.pause_percent.map_or(given.nice, |percent| f64::from(percent) / 100.0),
        rows_per_second,
        // A batch of more would be a burst, and a long pause after it.
        most: rows_per_second.map_or(given.most, |rows| given.most.min(rows).max(1)),
        ..given
    }
}

fn holds(given: Holds, wanted: &BackfillTuning) -> Holds {
    let limits = &wanted.holds;
    // Zero: never for that.
    let bytes = |wanted: Option<i64>, given: Option<i64>| match wanted {
        Some(bytes) => Some(bytes).filter(|bytes| *bytes > 0),
        None => given,
    };
    let seconds = |wanted: Option<i32>, given: Option<f64>| match wanted {
        Some(seconds) => Some(f64::from(seconds)).filter(|seconds| *seconds > 0.0),
        None => given,
    };
    Holds {
        standby_seconds: seconds(limits.standby_seconds, given.standby_seconds),
        standby_bytes: bytes(limits.standby_bytes, given.standby_bytes),
        slot_bytes: bytes(limits.slot_bytes, given.slot_bytes),
        wal_bytes_per_second: bytes(limits.wal_bytes_per_second, given.wal_bytes_per_second),
        archive_segments: bytes(limits.archive_segments.map(i64::from), given.archive_segments),
        transaction_seconds: seconds(limits.transaction_seconds, given.transaction_seconds),
        vacuum: limits.vacuum.unwrap_or(given.vacuum),
        // SQL and addresses come from whoever started the run, never from a file that others may write.
        ..given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backfill.json");
        let mut tuning = Tuning::new(&Options { tuning: Some(file.clone()), ..Options::default() });
        assert_eq!((tuning.pace, tuning.holds.clone()), (BackfillOptions::default(), Holds::default()));
        let text = r#"{"rowsPerSecondMax":500,"pausePercent":50,"holds":{"standbySeconds":0,"slotBytes":7,"transactionSeconds":9,"vacuum":true,
            "query":"SELECT true","http":"http://localhost"}}"#;
        std::fs::write(&file, text).unwrap();
        assert!(tuning.refresh() && !tuning.refresh());
        assert_eq!((tuning.pace.rows_per_second, tuning.pace.most, tuning.pace.nice), (Some(500), 500, 0.5));
        assert_eq!((tuning.holds.standby_seconds, tuning.holds.slot_bytes), (None, Some(7)));
        assert_eq!(tuning.holds.standby_bytes, Holds::default().standby_bytes);
        assert_eq!((tuning.holds.transaction_seconds, tuning.holds.vacuum), (Some(9.0), true));
        let asked = (tuning.holds.query.clone(), tuning.holds.http.clone());
        assert_eq!(asked, (None, None), "no SQL and no address from a file that others may write");
        // Cut off: what held goes on.
        std::fs::write(&file, "{").unwrap();
        assert!(tuning.refresh());
        assert_eq!(tuning.pace.most, 500);
        std::fs::write(&file, "{}").unwrap();
        assert!(tuning.refresh());
        assert_eq!((tuning.pace, tuning.holds), (BackfillOptions::default(), Holds::default()));
    }
}
