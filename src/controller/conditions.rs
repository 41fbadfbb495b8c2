//! Conditions as a list: set, removed, read. Transition times move only when a status does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{Condition, ConditionStatus, ConditionType, Reason};

/// Longest message in bytes.
pub const MESSAGE_MAX: usize = 1024;

/// Conditions to be written, made from those that are there.
#[derive(Clone, Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    after: Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Starts an empty list; `before` lends its transition times.
    pub fn new(before: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self { before, after: Vec::new(), generation, now }
    }

    /// Adds a condition with a reason of the controller.
    pub fn set(&mut self, kind: ConditionType, status: ConditionStatus, reason: Reason, message: &str) {
        self.set_word(kind, status, reason.word(), message);
    }

    /// Adds a condition with a reason that may be the runner's.
    pub fn set_word(&mut self, kind: ConditionType, status: ConditionStatus, reason: &str, message: &str) {
        let kind = kind.to_string();
        let same = self.before.iter().find(|condition| condition.kind == kind && condition.status == status);
        let last_transition_time =
            same.map_or_else(|| Time(whole_seconds(self.now)), |condition| condition.last_transition_time.clone());
        self.after.push(Condition {
            kind,
            status,
            reason: word(reason),
            message: shorten(message),
            observed_generation: self.generation,
            last_transition_time,
        });
    }

    /// The list, in the order of the types' names.
    pub fn finish(mut self) -> Vec<Condition> {
        self.after.sort_by(|one, other| one.kind.cmp(&other.kind));
        self.after
    }
}

/// The condition of a type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    let kind: &str = kind.into();
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Whether the condition of a type is true.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Times in status have whole seconds: what is read back must equal what was written.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// At most [`MESSAGE_MAX`] bytes, cut between characters.
pub fn shorten(message: &str) -> String {
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let end = (0..=MESSAGE_MAX - 3).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", message.get(..end).unwrap_or_default())
}

/// A reason that the API server takes, whatever a runner of another version wrote.
pub fn word(reason: &str) -> String {
    let valid = reason.len() <= 64
        && reason.starts_with(|first: char| first.is_ascii_uppercase())
        && reason.chars().all(|character| character.is_ascii_alphanumeric());
    if valid { reason.to_owned() } else { Reason::ReportUnreadable.word().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut first = Conditions::new(&[], 1, at(100));
        first.set(ConditionType::Ready, ConditionStatus::False, Reason::Planning, "a");
        let first = first.finish();
        let mut second = Conditions::new(&first, 2, at(200));
        second.set(ConditionType::Ready, ConditionStatus::False, Reason::Executing, "b");
        let second = second.finish();
        assert_eq!(second[0].last_transition_time, Time(at(100)));
        assert_eq!((second[0].observed_generation, second[0].reason.as_str()), (2, "Executing"));
        let mut third = Conditions::new(&second, 2, at(300));
        third.set(ConditionType::Ready, ConditionStatus::True, Reason::Succeeded, "");
        assert_eq!(third.finish()[0].last_transition_time, Time(at(300)));
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let cut = shorten(&"ä".repeat(600));
        assert!(cut.len() <= MESSAGE_MAX && cut.ends_with("..."), "{}", cut.len());
        assert_eq!(shorten("short"), "short");
    }

    #[test]
    fn reasons_of_other_versions_do_not_break_the_status() {
        assert_eq!(word("LockBudgetSpent"), "LockBudgetSpent");
        assert_eq!(word("select 'secret'"), "ReportUnreadable");
        assert_eq!(word(""), "ReportUnreadable");
    }
}
