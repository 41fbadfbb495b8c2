//! How often and how long: lock slices, pauses with jitter, budgets.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use super::options::Options;
use super::sqlstate::Class;
use super::watch::Blocker;

/// How a step's locks meet the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Readers or writers queue behind our request: wait in short slices.
    Blocking,
    /// Only schema changes and maintenance queue behind it: wait longer than `deadlock_timeout`, because only
    /// then does the server make autovacuum give way.
    Gentle,
}

/// What to do after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again after this pause.
    Again(Duration),
    /// The lock budget is spent.
    Spent,
    /// It does not help to try again.
    GiveUp,
}

/// The tries of one unit of work.
#[derive(Debug)]
pub(super) struct Attempts {
    manner: Manner,
    slice: Duration,
    longest: Duration,
    short: Duration,
    pause: Duration,
    started: Instant,
    budget: Duration,
    cancelled: u32,
    lost: u32,
    /// Whether autovacuum was seen to stand in the way: then it is pushed off before the blocking lock is asked for.
    pub evict_autovacuum: bool,
    /// Who was seen last to stand in the way.
    pub blockers: Vec<Blocker>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const MOST_CANCELLED: u32 = 3;
const MOST_LOST: u32 = 5;

impl Attempts {
    /// Starts counting. `deadlock_timeout` is the server's.
    pub fn new(manner: Manner, options: &Options, deadlock_timeout: Duration) -> Self {
        let (slice, longest) = match manner {
            Manner::Blocking => options.blocking_slice,
            Manner::Gentle => {
                let slice = gentle_slice(deadlock_timeout);
                (slice, slice)
            }
        };
        Self {
            manner,
            slice,
            longest,
            short: options.short_statement,
            pause: FIRST_PAUSE,
            started: Instant::now(),
            budget: options.lock_budget,
            cancelled: 0,
            lost: 0,
            evict_autovacuum: false,
            blockers: Vec::new(),
        }
    }

    /// How long to wait for a lock in the next try.
    pub fn slice(&self) -> Duration {
        self.slice
    }

    /// How long a statement of the next try may run when its work does not grow with a table.
    pub fn short_statement(&self) -> Duration {
        self.short
    }

    /// Whether readers or writers queue behind us.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// What is left of the budget.
    pub fn left(&self) -> Duration {
        self.budget.saturating_sub(self.started.elapsed())
    }

    /// Starts the budget anew: something was achieved.
    pub fn renew(&mut self, options: &Options) {
        self.started = Instant::now();
        self.cancelled = 0;
        self.lost = 0;
        self.pause = FIRST_PAUSE;
        if self.manner == Manner::Blocking {
            self.slice = options.blocking_slice.0;
        }
    }

    /// Counts a lost connection; false when it happened too often in this place.
    pub fn lost(&mut self) -> bool {
        self.lost += 1;
        self.lost <= MOST_LOST
    }

    /// What follows after a try failed with an error of this class. `own` says that our own watchdog cancelled it.
    pub fn after(&mut self, class: Class, own: bool) -> Next {
        match class {
            Class::Lock | Class::Conflict | Class::Saturated => {}
            Class::Cancelled if own => {}
            Class::Cancelled => {
                self.cancelled += 1;
                self.short *= 2;
                if self.cancelled > MOST_CANCELLED {
                    return Next::GiveUp;
                }
            }
            Class::Gone | Class::Data | Class::Permanent => return Next::GiveUp,
        }
        if class == Class::Lock {
            self.slice = (self.slice * 3 / 2).min(self.longest);
        }
        let pause = jitter(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.left() <= pause { Next::Spent } else { Next::Again(pause) }
    }
}

/// Longer than `deadlock_timeout` by a second, and two seconds at least.
pub(super) fn gentle_slice(deadlock_timeout: Duration) -> Duration {
    (deadlock_timeout + Duration::from_secs(1)).max(Duration::from_secs(2))
}

/// Between half and the whole of `pause`, so that two that collided do not collide again.
pub(super) fn jitter(pause: Duration) -> Duration {
    // The standard library's hasher is seeded randomly: enough for a jitter, and no crate for it.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let share = (random % 1_000) as u32;
    pause / 2 + pause / 2 * share / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(manner: Manner) -> Attempts {
        Attempts::new(manner, &Options::default(), Duration::from_secs(1))
    }

    #[test]
    fn slices_that_block_stay_short() {
        let mut tries = attempts(Manner::Blocking);
        assert_eq!(tries.slice(), Duration::from_millis(100));
        for _ in 0..20 {
            tries.after(Class::Lock, false);
            assert!(tries.slice() <= Duration::from_millis(500));
        }
        assert_eq!(tries.slice(), Duration::from_millis(500));
    }

    #[test]
    fn gentle_slices_outlast_the_deadlock_timeout() {
        assert_eq!(attempts(Manner::Gentle).slice(), Duration::from_secs(2));
        assert!(gentle_slice(Duration::from_secs(5)) > Duration::from_secs(5));
    }

    #[test]
    fn a_foreign_cancel_is_not_tried_for_ever() {
        let mut tries = attempts(Manner::Blocking);
        for _ in 0..MOST_CANCELLED {
            assert!(matches!(tries.after(Class::Cancelled, false), Next::Again(_)));
        }
        assert_eq!(tries.after(Class::Cancelled, false), Next::GiveUp);
        assert!(matches!(attempts(Manner::Blocking).after(Class::Cancelled, true), Next::Again(_)));
    }

    #[test]
    fn a_spent_budget_ends_it() {
        let options = Options { lock_budget: Duration::ZERO, ..Options::default() };
        let mut tries = Attempts::new(Manner::Blocking, &options, Duration::from_secs(1));
        assert_eq!(tries.after(Class::Lock, false), Next::Spent);
    }

    #[test]
    fn refusals_are_final() {
        assert_eq!(attempts(Manner::Blocking).after(Class::Permanent, false), Next::GiveUp);
        assert_eq!(attempts(Manner::Blocking).after(Class::Data, false), Next::GiveUp);
    }
}
