//! What time it is: the system's, or in tests one that follows tokio's paused clock.

use jiff::Timestamp;

/// A source of the time.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Begins at a moment and goes on as tokio's does.
    #[cfg(test)]
    Simulated {
        /// The moment.
        begin: Timestamp,
        /// When it was, on tokio's clock.
        since: tokio::time::Instant,
    },
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            #[cfg(test)]
            Self::Simulated { begin, since } => begin.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX),
        }
    }
}
