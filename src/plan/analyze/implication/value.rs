//! Constants that can be compared as the server would.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::catalog::DataType;

/// How literals of a type are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers, numeric and floating point.
    Number,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    /// `text` and `varchar`: their order is the collation's.
    Text,
    /// Types whose literals are only compared for being the same.
    Unknown,
}

impl Kind {
    /// How literals of the type (no domain) are read.
    pub fn of(data_type: &DataType) -> Self {
        if data_type.name.schema != "pg_catalog" || data_type.array {
            return Self::Unknown;
        }
        match data_type.name.name.as_str() {
            "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid" => Self::Number,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            "text" | "varchar" => Self::Text,
            _ => Self::Unknown,
        }
    }
}

/// The zone of times that name none.
#[derive(Clone, Debug)]
pub enum Zone {
    /// UTC.
    Utc,
    /// Another; `None` when it is not known.
    Named(Option<TimeZone>),
}

impl Zone {
    /// By the name in `TimeZone`.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "utc" | "etc/utc" | "gmt" | "etc/gmt" | "uct" | "etc/uct" | "zulu" | "etc/zulu" => Self::Utc,
            _ => Self::Named(TimeZone::get(name).ok()),
        }
    }

    fn micros(&self, local: DateTime) -> Option<i64> {
        let zone = match self {
            Self::Utc => TimeZone::UTC,
            Self::Named(zone) => zone.clone()?,
        };
        Some(local.to_zoned(zone).ok()?.timestamp().as_microsecond())
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A decimal number without exponent: sign, digits before and after the point, no zeros at the ends.
    Number(Decimal),
    /// Microseconds since 1970, of a date, a timestamp or a point in time.
    Moment(i64),
    /// Compared for being the same only.
    Text(String),
}

impl Value {
    /// Reads a literal; `None` when it is not understood.
    pub fn read(literal: &str, kind: Kind, zone: &Zone) -> Option<Self> {
        match kind {
            Kind::Number => Decimal::read(literal).map(Self::Number),
            Kind::Date => {
                let date: Date = literal.trim().parse().ok()?;
                Zone::Utc.micros(date.to_datetime(Time::midnight())).map(Self::Moment)
            }
            Kind::Timestamp => Zone::Utc.micros(moment(literal)?.0).map(Self::Moment),
            Kind::TimestampTz => match moment(literal)? {
                (local, Some(offset)) => Some(Self::Moment(offset.to_timestamp(local).ok()?.as_microsecond())),
                (local, None) => zone.micros(local).map(Self::Moment),
            },
            Kind::Text | Kind::Unknown => Some(Self::Text(literal.to_owned())),
        }
    }

    /// The order of the two; of texts only whether they are the same (what comes first is the collation's
    /// matter). `None` when it cannot be told.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(a.compare(b)),
            (Self::Moment(a), Self::Moment(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) if a == b => Some(Ordering::Equal),
            _ => None,
        }
    }
}

/// A decimal number of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    fn read(literal: &str) -> Option<Self> {
        let literal = literal.trim();
        let (negative, digits) = match literal.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, literal.strip_prefix('+').unwrap_or(literal)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: negative && !zero, whole, fraction })
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => return Ordering::Greater,
            (true, false) => return Ordering::Less,
            _ => {}
        }
        let size = self
            .whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(&other.whole))
            .then_with(|| self.fraction.cmp(&other.fraction));
        if self.negative { size.reverse() } else { size }
    }
}

/// `2024-01-31`, `2024-01-31 12:00`, with seconds, fraction and offset (`+00`, `+05:30`, `Z`).
fn moment(literal: &str) -> Option<(DateTime, Option<Offset>)> {
    let literal = literal.trim();
    let (date, time) = match literal.split_once([' ', 'T']) {
        Some((date, time)) => (date, time.trim()),
        None => (literal, ""),
    };
    let date: Date = date.parse().ok()?;
    if time.is_empty() {
        return Some((date.to_datetime(Time::midnight()), None));
    }
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((date.to_datetime(clock(time)?), Some(Offset::UTC)));
    }
    match time.rfind(['+', '-']) {
        Some(at) => Some((date.to_datetime(clock(&time[..at])?), Some(offset(&time[at..])?))),
        None => Some((date.to_datetime(clock(time)?), None)),
    }
}

fn clock(text: &str) -> Option<Time> {
    let text = text.trim();
    match text.len() {
        5 => format!("{text}:00").parse().ok(),
        _ => text.parse().ok(),
    }
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { (-1, rest) } else { (1, text.strip_prefix('+')?) };
    let mut parts = rest.split(':').map(|part| part.parse::<i32>().ok());
    let hours = parts.next()??;
    let minutes = parts.next().unwrap_or(Some(0))?;
    let seconds = parts.next().unwrap_or(Some(0))?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: Kind, a: &str, b: &str) -> Option<Ordering> {
        Value::read(a, kind, &Zone::Utc)?.compare(&Value::read(b, kind, &Zone::Utc)?)
    }

    #[test]
    fn orders_numbers_by_value() {
        for (a, b) in [("-2", "-1.5"), ("9", "10"), ("0.09", "0.1"), ("-0", "1"), ("99999999999999999999", "1e0")] {
            let expected = (b != "1e0").then_some(Ordering::Less);
            assert_eq!(order(Kind::Number, a, b), expected, "{a} {b}");
        }
        assert_eq!(order(Kind::Number, "-0", "0.0"), Some(Ordering::Equal));
    }

    #[test]
    fn orders_times_across_zones() {
        assert_eq!(order(Kind::TimestampTz, "2024-01-01", "2024-01-01 00:00:00+00"), Some(Ordering::Equal));
        assert_eq!(order(Kind::TimestampTz, "2024-01-01 00:00+02", "2023-12-31 23:00Z"), Some(Ordering::Less));
        let berlin = Zone::named("Europe/Berlin");
        let local = Value::read("2024-07-01", Kind::TimestampTz, &berlin);
        assert_eq!(local, Value::read("2024-06-30 22:00:00+00", Kind::TimestampTz, &Zone::Utc));
        assert_eq!(order(Kind::Date, "2024-01-31", "2024-02-01"), Some(Ordering::Less));
    }

    #[test]
    fn does_not_order_texts() {
        assert_eq!(order(Kind::Text, "a", "b"), None);
        assert_eq!(order(Kind::Text, "a", "a"), Some(Ordering::Equal));
    }
}
