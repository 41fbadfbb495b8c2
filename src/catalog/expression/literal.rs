//! Constants: their type, and their text as the type's output function writes it.

use pg_query::protobuf::{AConst, a_const::Val};

use super::Analysis;
use super::ir::{Expr, Kind, Value};
use super::types::Type;
use crate::catalog::{Catalog, Name};
use crate::sql::quote;

/// A constant as the parser types it (`make_const`).
pub(super) fn constant(constant: &AConst) -> Expr {
    match &constant.val {
        Some(Val::Ival(value)) => Expr::typed(Kind::Const(Value::Number(value.ival.to_string())), "int4"),
        Some(Val::Fval(value)) => {
            let id = if value.fval.parse::<i64>().is_ok() { "int8" } else { "numeric" };
            Expr::typed(Kind::Const(Value::Number(value.fval.clone())), id)
        }
        Some(Val::Boolval(value)) => Expr::typed(Kind::Const(Value::Bool(value.boolval)), "bool"),
        Some(Val::Sval(value)) => Expr::typed(Kind::Const(Value::Text(value.sval.clone())), "unknown"),
        Some(Val::Bsval(value)) => {
            let digits = value.bsval.get(1..).unwrap_or_default().to_owned();
            Expr::typed(Kind::Const(Value::Text(digits)), "bit")
        }
        // Zero is the default of the message and left out.
        None if constant.isnull => Expr::typed(Kind::Const(Value::Null), "unknown"),
        None => Expr::typed(Kind::Const(Value::Number("0".to_owned())), "int4"),
    }
}

/// A literal read by the type's input function and written by its output function, for the types where the
/// text changes on the way.
pub(super) fn input(cx: &Analysis<'_>, value: Value, target: &Type) -> Kind {
    let Value::Text(text) = value else { return Kind::Const(value) };
    let trimmed = text.trim();
    let value = match target.id.as_str() {
        "bool" => boolean(trimmed).map(Value::Bool),
        "int2" | "int4" | "int8" | "oid" => trimmed.parse::<i64>().ok().map(|number| Value::Number(number.to_string())),
        "numeric" if trimmed.parse::<f64>().is_ok_and(f64::is_finite) && !trimmed.contains(['e', 'E']) => {
            Some(Value::Number(trimmed.trim_start_matches('+').to_owned()))
        }
        "uuid" => uuid(trimmed).map(Value::Text),
        "jsonb" => jsonb(trimmed).map(Value::Text),
        "regclass" => Some(Value::Text(relation(cx, trimmed))),
        "timestamp" => timestamp(trimmed).map(Value::Text),
        "timestamptz" => timestamp(trimmed).map(|text| Value::Text(format!("{text}+00"))),
        "interval" => interval(trimmed).map(Value::Text),
        _ => None,
    };
    Kind::Const(value.unwrap_or(Value::Text(text)))
}

/// `parse_bool`: any unambiguous beginning of the words.
fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        return Some(true);
    }
    (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0").then_some(false)
}

fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let only_known = text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '-' | '{' | '}'));
    if digits.len() != 32 || !only_known {
        return None;
    }
    Some([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

/// `jsonb_out`: keys by length, then bytes; one blank behind `:` and `,`.
fn jsonb(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut out = String::new();
    write_jsonb(&value, &mut out);
    Some(out)
}

fn write_jsonb(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_jsonb(item, out);
            }
            out.push(']');
        }
        serde_json::Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            out.push('{');
            for (at, (key, item)) in sorted.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(&serde_json::Value::String(key.clone()).to_string());
                out.push_str(": ");
                write_jsonb(item, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// The name as `regclassout` writes it with an empty search path; noted as used.
fn relation(cx: &Analysis<'_>, text: &str) -> String {
    let Some(name) = relation_name(cx.catalog, text) else { return text.to_owned() };
    cx.use_relation(&name, None);
    quote::qualified(&name.schema, &name.name)
}

/// The relation that the text of a `regclass` literal names.
fn relation_name(catalog: &Catalog, text: &str) -> Option<Name> {
    let parsed = crate::sql::parse(&format!("TABLE {text}")).ok()?.into_iter().next()?;
    let pg_query::protobuf::node::Node::SelectStmt(select) = parsed.node else { return None };
    let pg_query::protobuf::node::Node::RangeVar(range) = select.from_clause.into_iter().next()?.node? else {
        return None;
    };
    super::scope::relation(catalog, &range.schemaname, &range.relname)
}

/// `timestamp` text that only lacks the time of day; other spellings stay as they are.
fn timestamp(text: &str) -> Option<String> {
    let text = text.replacen('T', " ", 1);
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00")).unwrap_or(&text);
    if is_date(text) {
        return Some(format!("{text} 00:00:00"));
    }
    let (date, time) = text.split_once(' ')?;
    if !is_date(date) || !time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')) {
        return None;
    }
    let time = match time.matches(':').count() {
        1 => format!("{time}:00"),
        2 if time.contains('.') => time.trim_end_matches('0').trim_end_matches('.').to_owned(),
        2 => time.to_owned(),
        _ => return None,
    };
    Some(format!("{date} {time}"))
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

/// `interval_out` for `<number> <unit>` pairs and plain times; other spellings stay as they are.
fn interval(text: &str) -> Option<String> {
    let (mut months, mut days, mut seconds) = (0_i64, 0_i64, 0_i64);
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            let parts: Vec<i64> = word.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            seconds += match parts[..] {
                [hours, minutes] => hours * 3600 + minutes * 60,
                [hours, minutes, rest] => hours * 3600 + minutes * 60 + rest,
                _ => return None,
            };
            continue;
        }
        let number: i64 = word.parse().ok()?;
        match words.next()?.to_ascii_lowercase().trim_end_matches('s') {
            "year" | "yr" | "y" => months += 12 * number,
            "month" | "mon" => months += number,
            "week" | "w" => days += 7 * number,
            "day" | "d" => days += number,
            "hour" | "hr" | "h" => seconds += 3600 * number,
            "minute" | "min" | "m" => seconds += 60 * number,
            "second" | "sec" => seconds += number,
            _ => return None,
        }
    }
    let mut out = Vec::new();
    let mut unit = |number: i64, word: &str| {
        if number != 0 {
            out.push(format!("{number} {word}{}", if number == 1 { "" } else { "s" }));
        }
    };
    unit(months / 12, "year");
    unit(months % 12, "mon");
    unit(days, "day");
    if months < 0 || days < 0 || seconds < 0 {
        return None;
    }
    if seconds != 0 || out.is_empty() {
        out.push(format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    }
    Some(out.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_rewritten_as_output_functions_do() {
        assert_eq!(interval("30 days").as_deref(), Some("30 days"));
        assert_eq!(interval("1 hour").as_deref(), Some("01:00:00"));
        assert_eq!(interval("1 year 2 months").as_deref(), Some("1 year 2 mons"));
        assert_eq!(jsonb("{\"bb\":1,\"a\":[1,2]}").as_deref(), Some("{\"a\": [1, 2], \"bb\": 1}"));
        assert_eq!(timestamp("2020-01-01").as_deref(), Some("2020-01-01 00:00:00"));
        assert_eq!(boolean("T"), Some(true));
        assert_eq!(boolean("off"), Some(false));
    }
}
