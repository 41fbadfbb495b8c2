//! Type modifiers: the number that `atttypmod` holds, from what a statement writes and back to it.

/// `INTERVAL_FULL_PRECISION` of timestamp.h.
const FULL_PRECISION: i32 = 0xFFFF;
/// `INTERVAL_FULL_RANGE` of timestamp.h.
const FULL_RANGE: i32 = 0x7FFF;
/// `VARHDRSZ`: lengths and numeric modifiers are stored with it.
const HEADER: i32 = 4;
/// `MaxAttrSize`.
const MAX_LENGTH: i32 = 10 * 1024 * 1024;
/// Digits of a second that are kept.
const MAX_PRECISION: i32 = 6;

/// The type does not take this modifier, or its rule is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this type does not take such a modifier")]
pub struct NoModifier;

/// The modifier of a built-in type (internal name) as `pg_attribute.atttypmod` stores it.
///
/// # Errors
/// [`NoModifier`] where that major refuses it.
pub fn encode_modifier(type_name: &str, values: &[i32], major: i32) -> Result<i32, NoModifier> {
    let within = |value: i32, least: i32, most: i32| (least..=most).contains(&value).then_some(value).ok_or(NoModifier);
    match (type_name, values) {
        ("varchar" | "bpchar", [length]) => Ok(within(*length, 1, MAX_LENGTH)? + HEADER),
        ("bit" | "varbit", [length]) => within(*length, 1, MAX_LENGTH * 8),
        ("numeric", [precision]) => Ok((within(*precision, 1, 1_000)? << 16) + HEADER),
        ("numeric", [precision, scale]) => {
            let precision = within(*precision, 1, 1_000)?;
            let scale = if major >= 15 { within(*scale, -1_000, 1_000)? } else { within(*scale, 0, precision)? };
            Ok(((precision << 16) | (scale & 0x7FF)) + HEADER)
        }
        ("time" | "timetz" | "timestamp" | "timestamptz", [precision]) => {
            Ok(within(*precision, 0, i32::MAX)?.min(MAX_PRECISION))
        }
        ("interval", [FULL_RANGE]) => Ok(-1),
        ("interval", [range]) => Ok((range << 16) | FULL_PRECISION),
        ("interval", [range, precision]) => Ok((range << 16) | within(*precision, 0, i32::MAX)?.min(MAX_PRECISION)),
        _ => Err(NoModifier),
    }
}

/// The modifier as the type's output function prints it: `(10,2)`, `(3) with time zone`, ` day to second(2)`.
/// `None` for types whose rule is not known.
pub(super) fn print_modifier(type_name: &str, modifier: i32) -> Option<String> {
    Some(match type_name {
        "varchar" | "bpchar" => format!("({})", modifier - HEADER),
        "bit" | "varbit" => format!("({modifier})"),
        "numeric" => {
            let packed = modifier - HEADER;
            // Eleven bits with sign.
            let scale = ((packed & 0x7FF) ^ 1024) - 1024;
            format!("({},{scale})", (packed >> 16) & 0xFFFF)
        }
        "time" | "timestamp" => format!("({modifier}) without time zone"),
        "timetz" | "timestamptz" => format!("({modifier}) with time zone"),
        "interval" => interval(modifier)?,
        _ => return None,
    })
}

fn interval(modifier: i32) -> Option<String> {
    // Bits of the fields: month 1, year 2, day 3, hour 10, minute 11, second 12.
    const RANGES: [(i32, &str); 14] = [
        (1 << 2, " year"),
        (1 << 1, " month"),
        (1 << 3, " day"),
        (1 << 10, " hour"),
        (1 << 11, " minute"),
        (1 << 12, " second"),
        (1 << 2 | 1 << 1, " year to month"),
        (1 << 3 | 1 << 10, " day to hour"),
        (1 << 3 | 1 << 10 | 1 << 11, " day to minute"),
        (1 << 3 | 1 << 10 | 1 << 11 | 1 << 12, " day to second"),
        (1 << 10 | 1 << 11, " hour to minute"),
        (1 << 10 | 1 << 11 | 1 << 12, " hour to second"),
        (1 << 11 | 1 << 12, " minute to second"),
        (FULL_RANGE, ""),
    ];
    let range = (modifier >> 16) & FULL_RANGE;
    let (_, fields) = RANGES.iter().find(|(bits, _)| *bits == range)?;
    let precision = modifier & FULL_PRECISION;
    if precision == FULL_PRECISION { Some((*fields).to_owned()) } else { Some(format!("{fields}({precision})")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_server_does() {
        for (name, values, major, modifier) in [
            ("varchar", &[10][..], 18, Ok(14)),
            ("bpchar", &[1], 18, Ok(5)),
            ("varchar", &[10_485_761], 18, Err(NoModifier)),
            ("numeric", &[10, 2], 14, Ok(655_366)),
            ("numeric", &[5, -2], 14, Err(NoModifier)),
            ("numeric", &[5, -2], 15, Ok((5 << 16) + 2_046 + 4)),
            ("numeric", &[1_001], 18, Err(NoModifier)),
            ("timestamptz", &[9], 18, Ok(6)),
            ("bit", &[3], 18, Ok(3)),
            ("interval", &[FULL_RANGE, 3], 18, Ok((FULL_RANGE << 16) | 3)),
            ("interval", &[4], 18, Ok((4 << 16) | FULL_PRECISION)),
            ("text", &[4], 18, Err(NoModifier)),
        ] {
            assert_eq!(encode_modifier(name, values, major), modifier, "{name} {values:?} on {major}");
        }
    }
}
