//! When a ValidationWindow is open: pure calendar arithmetic.
//!
//! The window is open while one of its schedules is and no deny schedule is. Intervals are half open: a window from
//! 02:00 for an hour is shut at 03:00. Durations are elapsed time, so a clock change moves the end on the wall clock.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::api::ValidationWindowSpec;
use crate::api::validation_window::{Period, Schedule};

/// How far ahead an opening is looked for: beyond that a window counts as one that never opens.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 366 * 4);

/// Most steps of one search. A window whose openings are all denied one by one needs one step for each.
const STEPS_MAX: usize = 4_000;

/// Among how many openings the longest is looked for: those of two weeks when there are two each day.
const OPENINGS: usize = 28;

/// A window's state at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Open now.
    Open {
        /// When it closes; absent when not within four years.
        closes_at: Option<Timestamp>,
    },
    /// Shut now.
    Shut {
        /// When it opens next; absent when it never does.
        opens_at: Option<Timestamp>,
        /// Whether a deny schedule is what keeps it shut now.
        denied: bool,
    },
}

/// A schedule that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSchedule {
    /// The field, such as `spec.schedules[0].cron`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// A window whose schedules are understood.
#[derive(Clone, Debug)]
pub struct Calendar {
    schedules: Vec<Rule>,
    deny: Vec<Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    /// At no time: of a day that no calendar has.
    Never,
    /// Again and again.
    Regular { cron: Box<Cron>, zone: TimeZone, duration: SignedDuration },
    /// Once.
    Once { start: Timestamp, end: Timestamp },
}

impl Calendar {
    /// Understands the schedules of a window.
    ///
    /// # Errors
    /// The first field that cannot be understood.
    pub fn new(spec: &ValidationWindowSpec) -> Result<Self, InvalidSchedule> {
        let mut schedules = rules("spec.schedules", &spec.schedules)?;
        schedules.extend(spec.openings.iter().map(Rule::once));
        let mut deny = rules("spec.deny", &spec.deny)?;
        deny.extend(spec.freezes.iter().map(Rule::once));
        Ok(Self { schedules, deny })
    }

    /// The window's state at `now`.
    pub fn at(&self, now: Timestamp) -> Opening {
        let denied = cover(&self.deny, now).is_some();
        if !denied && cover(&self.schedules, now).is_some() {
            return Opening::Open { closes_at: self.close_after(now) };
        }
        let scheduled = cover(&self.schedules, now).is_some();
        Opening::Shut { opens_at: self.open_after(now), denied: denied && scheduled }
    }

    /// The longest of the next openings after the present one; nothing when none comes.
    pub fn longest_to_come(&self, now: Timestamp) -> Option<SignedDuration> {
        let mut longest = None;
        let mut moment = self.close_after(now)?;
        for _ in 0..OPENINGS {
            let Some(opens_at) = self.open_after(moment) else { break };
            let Some(closes_at) = self.close_after(opens_at) else { return Some(SignedDuration::MAX) };
            longest = longest.max(Some(closes_at.duration_since(opens_at)));
            moment = closes_at;
        }
        longest
    }

    /// The first moment after `now`, at which the window is open, that it is shut.
    fn close_after(&self, now: Timestamp) -> Option<Timestamp> {
        let deny = next_start(&self.deny, now);
        let mut end = now;
        for _ in 0..STEPS_MAX {
            match cover(&self.schedules, end) {
                Some(later) => end = later,
                None => return Some(deny.map_or(end, |deny| deny.min(end))),
            }
            if let Some(deny) = deny.filter(|deny| *deny <= end) {
                return Some(deny);
            }
            if end.duration_since(now) > HORIZON {
                return None;
            }
        }
        None
    }

    /// The first moment from `now` on that the window is open.
    fn open_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut moment = now;
        for _ in 0..STEPS_MAX {
            if moment.duration_since(now) > HORIZON {
                return None;
            }
            if let Some(end) = cover(&self.deny, moment) {
                moment = end;
            } else if cover(&self.schedules, moment).is_some() {
                return Some(moment);
            } else {
                moment = next_start(&self.schedules, moment)?;
            }
        }
        None
    }
}

fn rules(field: &str, schedules: &[Schedule]) -> Result<Vec<Rule>, InvalidSchedule> {
    schedules.iter().enumerate().map(|(index, schedule)| Rule::new(&format!("{field}[{index}]"), schedule)).collect()
}

/// The latest end of a rule that covers `moment`.
fn cover(rules: &[Rule], moment: Timestamp) -> Option<Timestamp> {
    rules.iter().filter_map(|rule| rule.cover(moment)).max()
}

/// The first beginning of a rule after `moment`.
fn next_start(rules: &[Rule], moment: Timestamp) -> Option<Timestamp> {
    rules.iter().filter_map(|rule| rule.start_after(moment)).min()
}

impl Rule {
    fn new(field: &str, schedule: &Schedule) -> Result<Self, InvalidSchedule> {
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&schedule.cron)
            .map_err(|error| InvalidSchedule { field: format!("{field}.cron"), message: error.to_string() })?;
        let zone = TimeZone::get(&schedule.time_zone).map_err(|_| InvalidSchedule {
            field: format!("{field}.timeZone"),
            message: format!("{:?} is no time zone of the IANA database, such as Europe/Berlin", schedule.time_zone),
        })?;
        if !has_days(&cron) {
            return Ok(Self::Never);
        }
        let duration = SignedDuration::from_secs(schedule.duration_seconds.into());
        Ok(Self::Regular { cron: Box::new(cron), zone, duration })
    }

    fn once(period: &Period) -> Self {
        Self::Once { start: period.start_time.0, end: period.end_time.0 }
    }

    /// The end of the interval of this rule that holds `moment`. The latest beginning has the latest end.
    fn cover(&self, moment: Timestamp) -> Option<Timestamp> {
        let (start, end) = match self {
            Self::Never => return None,
            Self::Regular { cron, zone, duration } => {
                let at = moment.to_zoned(zone.clone());
                let start = cron.find_previous_occurrence(&at, true).ok()?.timestamp();
                (start, start.checked_add(*duration).ok()?)
            }
            Self::Once { start, end } => (*start, *end),
        };
        (start <= moment && end > moment).then_some(end)
    }

    fn start_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::Regular { cron, zone, .. } => {
                let at = moment.to_zoned(zone.clone());
                cron.find_next_occurrence(&at, false).ok().map(|start| start.timestamp())
            }
            Self::Once { start, .. } => (*start > moment).then_some(*start),
        }
    }
}

/// Whether any day has the date of a cron expression. A calendar repeats after 28 years, in which each of the 14 kinds of
/// years is (two lengths, seven weekdays to begin with): what is in none of them would be looked for thousands of years
/// ahead, at every look.
fn has_days(cron: &Cron) -> bool {
    let Ok(first) = jiff::civil::Date::new(2001, 1, 1) else { return true };
    let last = first.saturating_add(jiff::Span::new().years(28));
    let mut day = first;
    while day < last {
        let month = day.month().unsigned_abs().into();
        // An error is for the search to meet.
        if !cron.pattern.month_match(month).unwrap_or(true) {
            day = day.last_of_month().saturating_add(jiff::Span::new().days(1));
            continue;
        }
        let weekday = WEEKDAYS[usize::from(day.weekday().to_sunday_zero_offset().unsigned_abs()) % 7];
        let matches = cron.pattern.day_match(day.year().into(), month, day.day().unsigned_abs().into(), weekday);
        if matches.unwrap_or(true) {
            return true;
        }
        day = day.saturating_add(jiff::Span::new().days(1));
    }
    false
}

/// From Sunday on.
const WEEKDAYS: [Weekday; 7] = [
    Weekday::Sunday,
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
];

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::validation_window::Overrun;

    fn schedule(cron: &str, minutes: i32, zone: &str) -> Schedule {
        Schedule { cron: cron.to_owned(), duration_seconds: minutes * 60, time_zone: zone.to_owned() }
    }

    fn calendar(schedules: &[Schedule], deny: &[Schedule]) -> Calendar {
        Calendar::new(&spec(schedules, deny)).unwrap()
    }

    fn spec(schedules: &[Schedule], deny: &[Schedule]) -> ValidationWindowSpec {
        ValidationWindowSpec {
            schedules: schedules.to_vec(),
            openings: Vec::new(),
            deny: deny.to_vec(),
            freezes: Vec::new(),
            database_selector: None,
            overrides: Vec::new(),
            guards: None,
            max_concurrent: 1,
            overrun: Overrun::Finish,
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn open(until: &str) -> Opening {
        Opening::Open { closes_at: Some(time(until)) }
    }

    fn shut(until: &str) -> Opening {
        Opening::Shut { opens_at: Some(time(until)), denied: false }
    }

    fn denied(until: &str) -> Opening {
        Opening::Shut { opens_at: Some(time(until)), denied: true }
    }

    #[test]
    fn edges_of_a_nightly_window() {
        let window = calendar(&[schedule("0 2 * * *", 60, "UTC")], &[]);
        assert_eq!(window.at(time("2026-06-10T01:59:59Z")), shut("2026-06-10T02:00:00Z"));
        assert_eq!(window.at(time("2026-06-10T02:00:00Z")), open("2026-06-10T03:00:00Z"));
        assert_eq!(window.at(time("2026-06-10T02:59:59Z")), open("2026-06-10T03:00:00Z"));
        assert_eq!(window.at(time("2026-06-10T03:00:00Z")), shut("2026-06-11T02:00:00Z"));
    }

    #[test]
    fn a_window_over_midnight_and_weekdays() {
        let window = calendar(&[schedule("0 22 * * 1-5", 300, "Europe/Berlin")], &[]);
        // Friday 2026-06-12 22:00 in Berlin is 20:00 UTC, open until Saturday 03:00 there.
        assert_eq!(window.at(time("2026-06-13T00:30:00Z")), open("2026-06-13T01:00:00Z"));
        assert_eq!(window.at(time("2026-06-13T01:00:00Z")), shut("2026-06-15T20:00:00Z"));
    }

    #[test]
    fn spring_forward_skips_the_hour_and_the_window_opens_at_the_change() {
        // Berlin, 2026-03-29: 02:00 becomes 03:00 (01:00 UTC).
        let window = calendar(&[schedule("30 2 * * *", 60, "Europe/Berlin")], &[]);
        assert_eq!(window.at(time("2026-03-28T12:00:00Z")), shut("2026-03-29T01:00:00Z"));
        assert_eq!(window.at(time("2026-03-29T01:00:00Z")), open("2026-03-29T02:00:00Z"));
        // The next day it is back at 02:30, now summer time.
        assert_eq!(window.at(time("2026-03-29T12:00:00Z")), shut("2026-03-30T00:30:00Z"));
    }

    #[test]
    fn spring_forward_inside_the_window_keeps_the_elapsed_duration() {
        let window = calendar(&[schedule("0 1 * * *", 180, "Europe/Berlin")], &[]);
        // 01:00 winter time is 00:00 UTC; three hours later it is 05:00 summer time, 03:00 UTC.
        assert_eq!(window.at(time("2026-03-29T00:00:00Z")), open("2026-03-29T03:00:00Z"));
        assert_eq!(window.at(time("2026-03-29T03:00:00Z")), shut("2026-03-29T23:00:00Z"));
    }

    #[test]
    fn fall_back_repeats_the_hour_and_the_window_opens_once() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00 (01:00 UTC). 02:30 is 00:30 UTC and again 01:30 UTC.
        let window = calendar(&[schedule("30 2 * * *", 30, "Europe/Berlin")], &[]);
        assert_eq!(window.at(time("2026-10-24T12:00:00Z")), shut("2026-10-25T00:30:00Z"));
        assert_eq!(window.at(time("2026-10-25T00:45:00Z")), open("2026-10-25T01:00:00Z"));
        assert_eq!(window.at(time("2026-10-25T01:30:00Z")), shut("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn fall_back_inside_the_window_keeps_the_elapsed_duration() {
        let window = calendar(&[schedule("0 1 * * *", 180, "America/New_York")], &[]);
        // New York, 2026-11-01: 02:00 becomes 01:00 (06:00 UTC). 01:00 summer time is 05:00 UTC.
        assert_eq!(window.at(time("2026-11-01T05:00:00Z")), open("2026-11-01T08:00:00Z"));
        assert_eq!(window.at(time("2026-11-01T07:59:59Z")), open("2026-11-01T08:00:00Z"));
        assert_eq!(window.at(time("2026-11-01T08:00:00Z")), shut("2026-11-02T06:00:00Z"));
    }

    #[test]
    fn schedules_that_touch_are_one_opening() {
        let window = calendar(&[schedule("0 2 * * *", 60, "UTC"), schedule("0 3 * * *", 60, "UTC")], &[]);
        assert_eq!(window.at(time("2026-06-10T02:30:00Z")), open("2026-06-10T04:00:00Z"));
        let always = calendar(&[schedule("0 * * * *", 60, "UTC")], &[]);
        assert_eq!(always.at(time("2026-06-10T02:30:00Z")), Opening::Open { closes_at: None });
    }

    #[test]
    fn deny_wins_cuts_short_and_postpones() {
        // December is frozen.
        let window = calendar(&[schedule("0 2 * * *", 60, "UTC")], &[schedule("0 0 1 12 *", 31 * 24 * 60, "UTC")]);
        assert_eq!(window.at(time("2026-12-10T02:30:00Z")), denied("2027-01-01T02:00:00Z"));
        assert_eq!(window.at(time("2026-12-10T04:00:00Z")), shut("2027-01-01T02:00:00Z"));
        // A deny that begins in the middle of an opening ends it.
        let window = calendar(&[schedule("0 2 * * *", 60, "UTC")], &[schedule("30 2 10 6 *", 60, "UTC")]);
        assert_eq!(window.at(time("2026-06-10T02:15:00Z")), open("2026-06-10T02:30:00Z"));
        assert_eq!(window.at(time("2026-06-10T02:30:00Z")), denied("2026-06-11T02:00:00Z"));
        // One that ends in the middle lets the rest open.
        let window = calendar(&[schedule("0 2 * * *", 60, "UTC")], &[schedule("0 1 10 6 *", 90, "UTC")]);
        assert_eq!(window.at(time("2026-06-10T02:15:00Z")), denied("2026-06-10T02:30:00Z"));
    }

    #[test]
    fn openings_and_freezes_that_happen_once() {
        let period = |start: &str, end: &str| Period { start_time: Time(time(start)), end_time: Time(time(end)) };
        let mut spec = spec(&[], &[]);
        spec.openings = vec![period("2026-06-10T02:00:00Z", "2026-06-10T04:00:00Z")];
        let once = Calendar::new(&spec).unwrap();
        assert_eq!(once.at(time("2026-06-10T01:59:59Z")), shut("2026-06-10T02:00:00Z"));
        assert_eq!(once.at(time("2026-06-10T02:00:00Z")), open("2026-06-10T04:00:00Z"));
        assert_eq!(once.at(time("2026-06-10T04:00:00Z")), Opening::Shut { opens_at: None, denied: false });
        spec.schedules = vec![schedule("0 3 * * *", 120, "UTC")];
        let joined = Calendar::new(&spec).unwrap();
        assert_eq!(joined.at(time("2026-06-10T02:30:00Z")), open("2026-06-10T05:00:00Z"));
        spec.freezes = vec![period("2026-06-10T03:30:00Z", "2026-06-12T03:30:00Z")];
        let frozen = Calendar::new(&spec).unwrap();
        assert_eq!(frozen.at(time("2026-06-10T02:30:00Z")), open("2026-06-10T03:30:00Z"));
        assert_eq!(frozen.at(time("2026-06-10T03:30:00Z")), denied("2026-06-12T03:30:00Z"));
    }

    #[test]
    fn a_window_that_never_opens() {
        let never = Opening::Shut { opens_at: None, denied: false };
        let impossible = calendar(&[schedule("0 2 30 2 *", 60, "UTC")], &[]);
        assert_eq!(impossible.at(time("2026-06-10T02:15:00Z")), never);
        let denied = calendar(&[schedule("0 2 * * *", 60, "UTC")], &[schedule("0 * * * *", 60, "UTC")]);
        assert_eq!(denied.at(time("2026-06-10T04:15:00Z")), never);
    }

    #[test]
    fn days_that_no_calendar_has_are_not_searched_for() {
        let rule = |cron: &str| Rule::new("spec.schedules[0]", &schedule(cron, 60, "UTC")).unwrap();
        for cron in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30-31 2 *", "0 0 31 feb *"] {
            assert!(matches!(rule(cron), Rule::Never), "{cron}");
        }
        // A leap day, one that is a Sunday, the last Friday, the working day next to the first.
        for cron in ["0 0 29 2 *", "0 0 29 2 +0", "0 0 * * 5L", "0 0 1W * *", "0 0 30 2 1", "0 0 31 * *"] {
            assert!(matches!(rule(cron), Rule::Regular { .. }), "{cron}");
        }
    }

    #[test]
    fn leap_days_are_within_the_horizon() {
        let window = calendar(&[schedule("0 2 29 2 *", 60, "UTC")], &[]);
        assert_eq!(window.at(time("2025-06-10T02:15:00Z")), shut("2028-02-29T02:00:00Z"));
    }

    #[test]
    fn what_cannot_be_understood_names_the_field() {
        let invalid = |schedules: &[Schedule], deny: &[Schedule]| Calendar::new(&spec(schedules, deny)).unwrap_err();
        let good = schedule("0 2 * * *", 60, "UTC");
        assert_eq!(invalid(&[good.clone(), schedule("0 25 * * *", 60, "UTC")], &[]).field, "spec.schedules[1].cron");
        assert_eq!(invalid(&[schedule("0 0 2 * * *", 60, "UTC")], &[]).field, "spec.schedules[0].cron");
        let zone = invalid(&[good], &[schedule("0 2 * * *", 60, "Europe/Berlim")]);
        assert_eq!(zone.field, "spec.deny[0].timeZone");
        assert!(zone.message.contains("Europe/Berlim"), "{zone}");
    }

    #[test]
    fn the_longest_opening_to_come_knows_one_off_windows_and_what_is_denied() {
        let longest = |calendar: &Calendar, now: &str| calendar.longest_to_come(time(now)).map(|found| found.as_secs());
        let nightly = [schedule("0 2 * * *", 60, "UTC")];
        assert_eq!(longest(&calendar(&nightly, &[]), "2026-06-10T02:30:00Z"), Some(3_600));
        let halved = calendar(&nightly, &[schedule("30 2 * * *", 60, "UTC")]);
        assert_eq!(longest(&halved, "2026-06-10T02:10:00Z"), Some(1_800));
        let hourly = calendar(&[schedule("0 * * * *", 60, "UTC")], &[schedule("59 23 * * *", 1, "UTC")]);
        assert_eq!(
            longest(&hourly, "2026-06-10T12:00:00Z"),
            Some(86_340),
            "openings that follow on each other are one"
        );

        let period = |start: &str, end: &str| Period { start_time: Time(time(start)), end_time: Time(time(end)) };
        let mut once = spec(&[], &[]);
        once.openings = vec![
            period("2026-06-10T12:00:00Z", "2026-06-10T12:01:00Z"),
            period("2026-06-11T12:00:00Z", "2026-06-11T18:00:00Z"),
        ];
        let once = Calendar::new(&once).unwrap();
        assert_eq!(longest(&once, "2026-06-10T12:00:30Z"), Some(21_600));
        assert_eq!(longest(&once, "2026-06-11T12:00:00Z"), None, "the present one does not count");
    }
}
