//! What can go wrong, and where.

use std::collections::BTreeMap;

/// A thing that goes wrong with a request, a watch event, or a step of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The API server answers with this code; nothing is done.
    Answer(u16),
    /// The connection breaks before anything is done.
    Lost,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
    /// It is done after 20 seconds.
    Delayed,
    /// It is done after 40 seconds, when nobody waits for it any more.
    Late,
    /// It is done twice.
    Doubled,
    /// The operator is killed before it is done.
    CrashBefore,
    /// The operator is killed after it is done.
    CrashAfter,
    /// The lease is lost: another operator begins, while this one goes on for half a minute.
    SecondLeader,

    /// The event never comes; after a minute the watch expires, and everything is listed again.
    Dropped,
    /// The event comes after half a minute, behind later ones.
    Held,
    /// The event comes twice.
    Repeated,
    /// The event comes after the next one of its kind; where none comes, after a minute.
    Reordered,
    /// Instead of the event, the watch says that its version is too old.
    Expired,
    /// The watch ends instead.
    Disconnected,

    /// The runner is killed before the step's commit.
    KilledBefore,
    /// The runner is killed after the step's commit.
    KilledAfter,
    /// The runner's node is gone, but the runner goes on: nobody hears of it again.
    Cut,
    /// The pod is evicted; the Job makes another.
    Evicted,
}

/// What can happen to a request.
const REQUEST: [Effect; 13] = [
    Effect::Answer(409),
    Effect::Answer(410),
    Effect::Answer(422),
    Effect::Answer(429),
    Effect::Answer(500),
    Effect::Lost,
    Effect::AnswerLost,
    Effect::Delayed,
    Effect::Late,
    Effect::Doubled,
    Effect::CrashBefore,
    Effect::CrashAfter,
    Effect::SecondLeader,
];

/// What can happen to a watch event.
const EVENT: [Effect; 6] =
    [Effect::Dropped, Effect::Held, Effect::Repeated, Effect::Reordered, Effect::Expired, Effect::Disconnected];

/// What can happen to a runner.
const STEP: [Effect; 4] = [Effect::KilledBefore, Effect::KilledAfter, Effect::Cut, Effect::Evicted];

/// A place where something can go wrong: what it is, and which of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Such as `GET migrations/orders` or `EVENT jobs`.
    pub what: String,
    /// Number among those, from 1.
    pub number: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub point: Point,
    /// What.
    pub effect: Effect,
}

/// The faults of one run, and the points that it came by.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Vec<Fault>,
    counters: BTreeMap<String, usize>,
    /// Points in the order in which they were met.
    pub trace: Vec<Point>,
    /// Faults that have happened.
    pub happened: Vec<Fault>,
}

impl Faults {
    pub fn new(planned: &[Fault]) -> Self {
        Self { planned: planned.to_vec(), ..Self::default() }
    }

    /// A point is passed: what goes wrong there.
    pub fn pass(&mut self, what: &str) -> Option<Effect> {
        let number = self.counters.entry(what.to_owned()).or_insert(0);
        *number += 1;
        let point = Point { what: what.to_owned(), number: *number };
        let at = self.planned.iter().position(|fault| fault.point == point);
        self.trace.push(point);
        let fault = self.planned.remove(at?);
        self.happened.push(fault.clone());
        Some(fault.effect)
    }
}

/// Every fault that is possible at those points.
pub fn all(trace: &[Point]) -> Vec<Fault> {
    let effects = |point: &Point| -> &'static [Effect] {
        match point.what.split(' ').next() {
            Some("EVENT") => &EVENT,
            Some("STEP") => &STEP,
            _ => &REQUEST,
        }
    };
    trace
        .iter()
        .flat_map(|point| effects(point).iter().map(|effect| Fault { point: point.clone(), effect: *effect }))
        .collect()
}
