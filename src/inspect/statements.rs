//! Statements before and after a change: whether any of them has become slower.
//!
//! Figures of `pg_stat_statements` by `queryid`; the text of a statement is never read. Before: the mean since the
//! server began to count. After: the mean of what was executed since the change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Statements that are named in the result.
const NAMED_MAX: usize = 5;

/// A mean that grew by less is noise, whatever its percentage.
const NOISE_MICROSECONDS: i64 = 50;

/// What the server has counted of one statement since it began to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Executions.
    pub calls: i64,
    /// Time of all of them.
    pub microseconds: i64,
}

/// Statements by `queryid`.
pub type Reading = BTreeMap<i64, Counted>;

/// What is tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most percent by which the mean of a statement may grow.
    pub regression_percent_max: i32,
    /// Executions that a statement must have on both sides to be compared.
    pub calls_min: i32,
}

/// What an observation came to.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
pub enum Verdict {
    /// Statements were compared, and none is slower than tolerated.
    Go,
    /// A statement is slower than tolerated.
    NoGo,
    /// No statement was executed often enough before and after the change.
    NothingToCompare,
    /// The server does not count statements, or the role may not see it.
    Unavailable,
}

/// A statement before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// `queryid` of `pg_stat_statements`, as text: it does not fit the numbers of JSON.
    #[schemars(length(max = 20))]
    pub query_id: String,
    /// Executions before the change.
    #[schemars(range(min = 0))]
    pub calls_before: i64,
    /// Executions after it.
    #[schemars(range(min = 0))]
    pub calls_after: i64,
    /// Mean time before the change.
    #[schemars(range(min = 0))]
    pub mean_microseconds_before: i64,
    /// Mean time after it.
    #[schemars(range(min = 0))]
    pub mean_microseconds_after: i64,
    /// By how many percent of the time before it grew; negative when it is faster.
    pub percent: i64,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What it came to.
    pub verdict: Verdict,
    /// Statements that were compared.
    pub compared: i32,
    /// Those that became slower by the most, the worst first.
    pub worst: Vec<Compared>,
}

/// Compares. `before` was read before the change, `changed` when it was done, `after` in the end.
pub fn compare(before: &Reading, changed: &Reading, after: &Reading, limits: Limits) -> Comparison {
    let enough = |counted: &Counted| counted.calls >= i64::from(limits.calls_min.max(1));
    let mut all: Vec<(bool, Compared)> = after
        .iter()
        .filter_map(|(id, total)| {
            let old = before.get(id).filter(|old| enough(old))?;
            let new = since(changed.get(id), *total);
            if !enough(&new) {
                return None;
            }
            let (mean_before, mean_after) = (old.microseconds / old.calls, new.microseconds / new.calls);
            let grown = mean_after - mean_before;
            let percent = grown.saturating_mul(100) / mean_before.max(1);
            // In whole microseconds, so that no percentage is rounded to the limit.
            let limit = i64::from(limits.regression_percent_max);
            let slower = grown >= NOISE_MICROSECONDS && grown.saturating_mul(100) > limit * mean_before;
            let compared = Compared {
                query_id: id.to_string(),
                calls_before: old.calls,
                calls_after: new.calls,
                mean_microseconds_before: mean_before,
                mean_microseconds_after: mean_after,
                percent,
            };
            Some((slower, compared))
        })
        .collect();
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    let verdict = match all.iter().any(|(slower, _)| *slower) {
        true => Verdict::NoGo,
        false if all.is_empty() => Verdict::NothingToCompare,
        false => Verdict::Go,
    };
    all.retain(|(_, compared)| compared.percent > 0);
    all.sort_by_key(|(slower, compared)| (!slower, -compared.percent, compared.query_id.clone()));
    all.truncate(NAMED_MAX);
    Comparison { verdict, compared: count, worst: all.into_iter().map(|(_, compared)| compared).collect() }
}

/// What was counted since an earlier reading; everything when the server has begun to count anew.
fn since(earlier: Option<&Counted>, total: Counted) -> Counted {
    match earlier {
        Some(earlier) if earlier.calls <= total.calls && earlier.microseconds <= total.microseconds => {
            Counted { calls: total.calls - earlier.calls, microseconds: total.microseconds - earlier.microseconds }
        }
        _ => total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { regression_percent_max: 10, calls_min: 100 };

    /// Statements by id: executions and mean time.
    fn reading(statements: &[(i64, i64, i64)]) -> Reading {
        let counted = |&(id, calls, mean): &(i64, i64, i64)| (id, Counted { calls, microseconds: calls * mean });
        statements.iter().map(counted).collect()
    }

    fn after(statements: &[(i64, i64, i64)]) -> Comparison {
        compare(&reading(&[(1, 1_000, 1_000), (2, 1_000, 10)]), &Reading::new(), &reading(statements), LIMITS)
    }

    #[test]
    fn ten_percent_is_tolerated_and_more_is_not() {
        assert_eq!(after(&[(1, 500, 1_100)]).verdict, Verdict::Go);
        let slower = after(&[(1, 500, 1_101)]);
        assert_eq!((slower.verdict, slower.compared), (Verdict::NoGo, 1));
        let named = &slower.worst[0];
        assert_eq!(
            (named.query_id.as_str(), named.mean_microseconds_before, named.mean_microseconds_after),
            ("1", 1_000, 1_101)
        );
        assert_eq!((named.calls_before, named.calls_after, named.percent), (1_000, 500, 10));
        let faster = after(&[(1, 500, 100)]);
        assert_eq!((faster.verdict, faster.worst.len()), (Verdict::Go, 0));
    }

    #[test]
    fn noise_and_rare_statements_do_not_count() {
        assert_eq!(after(&[(2, 500, 40)]).verdict, Verdict::Go, "30 microseconds are noise");
        assert_eq!(after(&[(1, 99, 9_000)]).verdict, Verdict::NothingToCompare);
        assert_eq!(after(&[(3, 5_000, 9_000)]).verdict, Verdict::NothingToCompare, "it was not there before");
        let rare = compare(&reading(&[(1, 5, 10)]), &Reading::new(), &reading(&[(1, 500, 900)]), LIMITS);
        assert_eq!(rare.verdict, Verdict::NothingToCompare);
    }

    #[test]
    fn only_what_was_executed_since_the_change_counts() {
        let before = reading(&[(1, 1_000, 1_000)]);
        let changed = reading(&[(1, 2_000, 1_000)]);
        let mut total = changed[&1];
        total.calls += 200;
        total.microseconds += 200 * 2_000;
        let comparison = compare(&before, &changed, &Reading::from([(1, total)]), LIMITS);
        assert_eq!((comparison.verdict, comparison.worst[0].mean_microseconds_after), (Verdict::NoGo, 2_000));
        let anew = compare(&before, &changed, &reading(&[(1, 150, 1_000)]), LIMITS);
        assert_eq!((anew.verdict, anew.compared), (Verdict::Go, 1), "the server has begun to count anew");
    }

    #[test]
    fn the_worst_come_first_and_not_all_are_named() {
        let before: Vec<_> = (1..=20).map(|id| (id, 1_000, 1_000)).collect();
        let after: Vec<_> = (1..=20).map(|id| (id, 1_000, 1_000 + id * 10)).collect();
        let comparison = compare(&reading(&before), &Reading::new(), &reading(&after), LIMITS);
        let named: Vec<_> = comparison.worst.iter().map(|compared| compared.query_id.as_str()).collect();
        assert_eq!((comparison.compared, named), (20, vec!["20", "19", "18", "17", "16"]));
    }
}
