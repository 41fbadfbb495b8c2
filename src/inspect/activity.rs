//! Activity by the hour of the week, and the quiet hours that follow from it.
//!
//! The server counts transactions and changed rows (`pg_stat_database`). The differences between two readings belong
//! to the hours between them ([`spread`]); what is known of the hours of a week gives the quiet ones ([`suggest`]).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hours of a week.
const WEEK: i64 = 168;

/// Hours of the week that must have been measured for a suggestion: nine of ten.
const HOURS_MIN: usize = 151;

/// Seconds of an hour that must have been measured for it to count.
const SECONDS_MIN: i64 = 1_800;

/// Seconds between two readings beyond which nobody knows in which hours it happened.
const SPAN_MAX: i64 = 7_200;

/// An hour is quiet with at most that many percent of the mean hour.
const QUIET_PERCENT: i64 = 25;

/// Periods that are suggested.
const PERIODS_MAX: usize = 5;

/// What happened in one hour, as far as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970-01-01 00:00 UTC.
    pub number: i64,
    /// Seconds of it that were measured.
    pub seconds: i64,
    /// Transactions that were committed.
    pub transactions: i64,
    /// Rows that were inserted, updated or deleted.
    pub rows_changed: i64,
}

/// What was measured, and what is proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Hours of the week that were measured at least once; 168 are all of them.
    #[serde(default)]
    #[schemars(range(min = 0, max = 168))]
    pub hours_measured: i32,
    /// Transactions committed in a mean hour.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub transactions_per_hour: i64,
    /// Rows inserted, updated or deleted in a mean hour.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rows_changed_per_hour: i64,
    /// Whether quiet hours were found, one word; explained in `docs/reasons.md`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The same for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Quiet hours, the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub quiet: Vec<QuietPeriod>,
}

/// Hours of the week with little activity. Cron, duration and time zone can be copied into the `schedules` of a
/// ValidationWindow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuietPeriod {
    /// When it begins, in UTC.
    #[schemars(length(max = 64))]
    pub cron: String,
    /// How long it lasts.
    #[schemars(range(min = 3_600, max = 604_800))]
    pub duration_seconds: i32,
    /// Transactions in its busiest hour of any week.
    #[schemars(range(min = 0))]
    pub transactions_per_hour: i64,
    /// Rows changed in its busiest hour of any week.
    #[schemars(range(min = 0))]
    pub rows_changed_per_hour: i64,
    /// Its busiest hour in percent of the mean hour: transactions or rows, whichever is more.
    #[schemars(range(min = 0))]
    pub percent_of_mean: i32,
}

/// Whether quiet hours were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumIter)]
pub enum Finding {
    /// They were.
    QuietHours,
    /// Not enough hours of the week were measured.
    TooFewSamples,
    /// No hour is much quieter than the mean one.
    NoQuietHours,
}

/// Load of one hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    transactions: i64,
    rows: i64,
    percent: i64,
}

/// What happened between two readings, by the hour: in proportion to the time. Nothing when they are so far apart
/// that the hours are not known.
pub fn spread(from: i64, to: i64, transactions: i64, rows_changed: i64) -> Vec<Hour> {
    let span = to - from;
    if !(1..=SPAN_MAX).contains(&span) {
        return Vec::new();
    }
    let share = |amount: i64, end: i64| i128_part(amount, end - from, span);
    (from.div_euclid(3_600)..=(to - 1).div_euclid(3_600))
        .map(|number| {
            let (begin, end) = ((number * 3_600).max(from), ((number + 1) * 3_600).min(to));
            Hour {
                number,
                seconds: end - begin,
                transactions: share(transactions, end) - share(transactions, begin),
                rows_changed: share(rows_changed, end) - share(rows_changed, begin),
            }
        })
        .collect()
}

/// `amount * part / whole` without overflow.
fn i128_part(amount: i64, part: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(amount) * i128::from(part) / i128::from(whole.max(1))).unwrap_or(i64::MAX)
}

/// Proposes quiet hours. An hour of the week is as busy as its busiest week: quiet is what was quiet every time.
pub fn suggest(hours: &[Hour]) -> Activity {
    let mut week: BTreeMap<i64, Load> = BTreeMap::new();
    for hour in hours.iter().filter(|hour| hour.seconds >= SECONDS_MIN) {
        let load = week.entry(hour_of_week(hour.number)).or_default();
        load.transactions = load.transactions.max(i128_part(hour.transactions.max(0), 3_600, hour.seconds));
        load.rows = load.rows.max(i128_part(hour.rows_changed.max(0), 3_600, hour.seconds));
    }
    let mean = |of: fn(&Load) -> i64| i128_part(week.values().map(of).sum(), 1, count(week.len()));
    let (transactions, rows) = (mean(|load| load.transactions), mean(|load| load.rows));
    for load in week.values_mut() {
        let percent = |amount: i64, mean: i64| if mean == 0 { 0 } else { i128_part(amount, 100, mean) };
        load.percent = percent(load.transactions, transactions).max(percent(load.rows, rows));
    }
    let measured = Activity {
        hours_measured: i32::try_from(week.len()).unwrap_or(0),
        transactions_per_hour: transactions,
        rows_changed_per_hour: rows,
        ..Activity::default()
    };
    let found = |finding: Finding, message: String, quiet: Vec<QuietPeriod>| Activity {
        reason: finding.to_string(),
        message,
        quiet,
        ..measured.clone()
    };
    if week.len() < HOURS_MIN {
        let message = format!(
            "{} of {WEEK} hours of the week are measured, {HOURS_MIN} are needed: that takes a week with \
             spec.inspection.intervalSeconds of at most 3600",
            week.len()
        );
        return found(Finding::TooFewSamples, message, Vec::new());
    }
    let least = week.values().map(|load| load.percent).min().unwrap_or(0);
    week.retain(|_, load| load.percent <= QUIET_PERCENT);
    if week.is_empty() {
        let message = format!(
            "the quietest hour of the week has {least} % of the activity of the mean hour; {QUIET_PERCENT} % is quiet"
        );
        return found(Finding::NoQuietHours, message, Vec::new());
    }
    let message =
        format!("hours with at most {QUIET_PERCENT} % of the activity of the mean hour, in every week measured");
    found(Finding::QuietHours, message, periods(&week))
}

/// Hours that are quiet in all of several databases; figures are summed up, percents are the highest.
pub fn common(activities: &[&Activity]) -> Vec<QuietPeriod> {
    let mut all: Option<BTreeMap<i64, Load>> = None;
    for activity in activities {
        let own: BTreeMap<i64, Load> = activity.quiet.iter().flat_map(hours).collect();
        all = Some(match all {
            None => own,
            Some(before) => {
                let both = before.into_iter().filter_map(|(hour, one)| {
                    let other = own.get(&hour)?;
                    let load = Load {
                        transactions: one.transactions.saturating_add(other.transactions),
                        rows: one.rows.saturating_add(other.rows),
                        percent: one.percent.max(other.percent),
                    };
                    Some((hour, load))
                });
                both.collect()
            }
        });
    }
    periods(&all.unwrap_or_default())
}

/// 0 is Monday 00:00 UTC. 1970-01-01 was a Thursday.
fn hour_of_week(number: i64) -> i64 {
    (number + 3 * 24).rem_euclid(WEEK)
}

/// Hours in a row become periods; those that differ only by the day become one.
fn periods(quiet: &BTreeMap<i64, Load>) -> Vec<QuietPeriod> {
    // (hour of the day, length) to days and the busiest of their hours.
    let mut found: BTreeMap<(i64, i64), (Vec<i64>, Load)> = BTreeMap::new();
    let whole = count(quiet.len()) == WEEK;
    let begins = |hour: &i64| *hour == 0 && whole || !quiet.contains_key(&(hour - 1).rem_euclid(WEEK));
    for begin in quiet.keys().copied().filter(begins) {
        let length = (1..WEEK).find(|more| !quiet.contains_key(&((begin + more) % WEEK))).unwrap_or(WEEK);
        let (days, busiest) = found.entry((begin % 24, length)).or_default();
        days.push(begin / 24);
        for load in (0..length).filter_map(|more| quiet.get(&((begin + more) % WEEK))) {
            busiest.transactions = busiest.transactions.max(load.transactions);
            busiest.rows = busiest.rows.max(load.rows);
            busiest.percent = busiest.percent.max(load.percent);
        }
    }
    let mut list: Vec<_> = found.into_iter().collect();
    list.sort_by_key(|((start, length), (days, _))| (-(length * count(days.len())), *start));
    list.truncate(PERIODS_MAX);
    list.into_iter().map(|((start, length), (days, busiest))| period(start, length, &days, busiest)).collect()
}

fn period(start: i64, length: i64, days: &[i64], busiest: Load) -> QuietPeriod {
    // Cron counts from Sunday.
    let days: Vec<String> = days.iter().map(|day| ((day + 1) % 7).to_string()).collect();
    let days = if days.len() == 7 { "*".to_owned() } else { days.join(",") };
    QuietPeriod {
        cron: format!("0 {start} * * {days}"),
        duration_seconds: i32::try_from(length * 3_600).unwrap_or(i32::MAX),
        transactions_per_hour: busiest.transactions,
        rows_changed_per_hour: busiest.rows,
        percent_of_mean: i32::try_from(busiest.percent).unwrap_or(i32::MAX),
    }
}

/// The hours of the week of a period that [`period`] made.
fn hours(period: &QuietPeriod) -> Vec<(i64, Load)> {
    let fields: Vec<&str> = period.cron.split(' ').collect();
    let [_, start, _, _, days] = fields.as_slice() else { return Vec::new() };
    let Ok(start) = start.parse::<i64>() else { return Vec::new() };
    let days: Vec<i64> = match *days {
        "*" => (0..7).collect(),
        list => list.split(',').filter_map(|day| Some((day.parse::<i64>().ok()? + 6) % 7)).collect(),
    };
    let load = Load {
        transactions: period.transactions_per_hour,
        rows: period.rows_changed_per_hour,
        percent: period.percent_of_mean.into(),
    };
    let length = i64::from(period.duration_seconds) / 3_600;
    days.iter().flat_map(|day| (0..length).map(move |more| ((day * 24 + start + more) % WEEK, load))).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-08 00:00 UTC, a Monday.
    const MONDAY: i64 = 494_688;

    /// Weeks in which an hour of the week has that many transactions.
    fn weeks(number: i64, transactions: impl Fn(i64) -> i64) -> Vec<Hour> {
        (0..number * WEEK)
            .map(|hour| Hour {
                number: MONDAY + hour,
                seconds: 3_600,
                transactions: transactions(hour),
                rows_changed: 0,
            })
            .collect()
    }

    fn nights(hour: i64) -> i64 {
        if (1..5).contains(&(hour % 24)) { 100 } else { 10_000 }
    }

    #[test]
    fn a_difference_belongs_to_the_hours_in_which_it_arose() {
        let hours = spread(3_600 * 10 - 900, 3_600 * 11 + 900, 600, 60);
        let shown: Vec<_> = hours.iter().map(|hour| (hour.number, hour.seconds, hour.transactions)).collect();
        assert_eq!(shown, [(9, 900, 100), (10, 3_600, 400), (11, 900, 100)]);
        assert_eq!(hours.iter().map(|hour| hour.rows_changed).sum::<i64>(), 60, "nothing is lost by rounding");
        assert_eq!(spread(0, SPAN_MAX + 1, 1, 1), [], "nobody knows when it happened");
        assert_eq!(spread(10, 10, 1, 1), []);
        assert_eq!(spread(20, 10, 1, 1), [], "the clock was set back");
    }

    #[test]
    fn too_few_samples_give_no_suggestion_and_say_why() {
        let few = &weeks(1, nights)[..100];
        let activity = suggest(few);
        assert_eq!((activity.reason.as_str(), activity.hours_measured), ("TooFewSamples", 100));
        assert!(activity.message.contains("100 of 168") && activity.quiet.is_empty(), "{}", activity.message);
        let short: Vec<Hour> = weeks(1, nights).into_iter().map(|hour| Hour { seconds: 60, ..hour }).collect();
        assert_eq!(suggest(&short).hours_measured, 0, "a minute says nothing about an hour");
        assert_eq!(suggest(&[]).reason, "TooFewSamples");
    }

    #[test]
    fn quiet_nights_are_one_schedule_with_their_figures() {
        let activity = suggest(&weeks(1, nights));
        assert_eq!(activity.reason, "QuietHours");
        let [night] = activity.quiet.as_slice() else { panic!("{:?}", activity.quiet) };
        assert_eq!((night.cron.as_str(), night.duration_seconds), ("0 1 * * *", 4 * 3_600));
        assert_eq!((night.transactions_per_hour, night.percent_of_mean), (100, 1));
        assert_eq!(activity.transactions_per_hour, (4 * 100 + 20 * 10_000) / 24);
    }

    #[test]
    fn one_busy_night_of_any_week_is_no_quiet_night() {
        // The second Tuesday has a nightly batch.
        let activity = suggest(&weeks(2, |hour| if hour == WEEK + 24 + 2 { 50_000 } else { nights(hour) }));
        let crons: Vec<_> =
            activity.quiet.iter().map(|period| (period.cron.as_str(), period.duration_seconds / 3_600)).collect();
        assert_eq!(crons, [("0 1 * * 1,3,4,5,6,0", 4), ("0 3 * * 2", 2), ("0 1 * * 2", 1)]);
    }

    #[test]
    fn changed_rows_count_as_well_as_transactions() {
        let rows: Vec<Hour> = weeks(1, |_| 1_000)
            .into_iter()
            .map(|hour| Hour { transactions: 0, rows_changed: hour.transactions * (hour.number % 24 + 1), ..hour })
            .collect();
        assert_eq!(suggest(&rows).quiet[0].cron, "0 0 * * *");
        assert_eq!(suggest(&weeks(1, |_| 1_000)).reason, "NoQuietHours");
        assert!(suggest(&weeks(1, |_| 1_000)).message.contains("100 %"));
    }

    #[test]
    fn a_weekend_goes_over_the_end_of_the_week() {
        let activity = suggest(&weeks(1, |hour| if !(6..117).contains(&hour) { 10 } else { 5_000 }));
        let [weekend] = activity.quiet.as_slice() else { panic!("{:?}", activity.quiet) };
        assert_eq!((weekend.cron.as_str(), weekend.duration_seconds / 3_600), ("0 21 * * 5", 57));
    }

    #[test]
    fn a_database_without_activity_is_always_quiet() {
        let activity = suggest(&weeks(1, |_| 0));
        let [always] = activity.quiet.as_slice() else { panic!("{:?}", activity.quiet) };
        assert_eq!((always.cron.as_str(), always.duration_seconds), ("0 0 * * 1", 604_800));
    }

    #[test]
    fn several_databases_are_quiet_together_when_all_of_them_are() {
        let (one, other) = (suggest(&weeks(1, nights)), suggest(&weeks(1, |hour| nights(hour + 2))));
        let both = common(&[&one, &other]);
        let [common_hours] = both.as_slice() else { panic!("{both:?}") };
        assert_eq!((common_hours.cron.as_str(), common_hours.duration_seconds / 3_600), ("0 1 * * *", 2));
        assert_eq!(common_hours.transactions_per_hour, 200);
        assert_eq!(common(&[&one]), one.quiet, "hours survive the way through a schedule");
        assert_eq!(common(&[]), []);
    }

    #[test]
    fn what_is_suggested_is_a_schedule_that_a_window_takes() {
        use crate::api::validation_window::Schedule;
        for period in suggest(&weeks(2, |hour| if hour % 11 == 0 { 1 } else { nights(hour) })).quiet {
            let schedule = Schedule {
                cron: period.cron.clone(),
                duration_seconds: period.duration_seconds,
                time_zone: "UTC".to_owned(),
            };
            let spec = serde_json::json!({"schedules": [schedule]});
            let spec = serde_json::from_value(spec).unwrap();
            assert!(crate::controller::windows::Calendar::new(&spec).is_ok(), "{}", period.cron);
        }
    }
}
