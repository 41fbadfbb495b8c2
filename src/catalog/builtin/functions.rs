//! Built-in functions.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Majors, letter, rows};

pub(super) const DATA: &str = include_str!("functions.txt");

/// All overloads of a name together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinFunction {
    /// `i` immutable, `s` stable, `v` volatile: the worst of the overloads.
    pub volatility: char,
    /// Each of `f` function, `a` aggregate, `w` window function, `p` procedure that an overload is.
    pub kinds: &'static str,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<(BuiltinFunction, Majors)>>> = LazyLock::new(|| {
    let mut functions: HashMap<_, Vec<_>> = HashMap::new();
    for ([name, volatility, kinds], majors) in rows(DATA) {
        let function = BuiltinFunction { volatility: letter(volatility), kinds };
        functions.entry(name).or_default().push((function, majors));
    }
    functions
});

/// The built-in function of that name; `None` when that major has none.
pub fn function(name: &str, major: i32) -> Option<BuiltinFunction> {
    let versions = FUNCTIONS.get(name)?;
    versions.iter().find(|(_, majors)| majors.contain(major)).map(|(function, _)| *function)
}

/// `i` immutable, `s` stable, `v` volatile: the worst over the overloads of that name (`timezone` is volatile up
/// to 14 because one of them is). `None` when that major has no such function.
pub fn function_volatility(name: &str, major: i32) -> Option<char> {
    function(name, major).map(|function| function.volatility)
}

/// First and last major, of those known, that have a function of that name.
pub fn function_majors(name: &str) -> Option<(i32, i32)> {
    let versions = FUNCTIONS.get(name)?;
    let first = versions.iter().map(|(_, majors)| majors.first).min()?;
    let last = versions.iter().map(|(_, majors)| majors.last).max()?;
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volatility_follows_the_major() {
        for (name, major, volatility) in [
            ("random", 14, Some('v')),
            ("now", 18, Some('s')),
            ("lower", 13, Some('i')),
            ("timezone", 14, Some('v')),
            ("timezone", 15, Some('s')),
            ("uuidv7", 17, None),
            ("uuidv7", 18, Some('v')),
            ("uuidv7", 19, Some('v')),
            ("pg_start_backup", 14, Some('v')),
            ("pg_start_backup", 15, None),
            ("no_such_function", 18, None),
        ] {
            assert_eq!(function_volatility(name, major), volatility, "{name} on {major}");
        }
        assert_eq!(function("count", 16).map(|count| count.kinds), Some("a"));
        assert_eq!(function_majors("uuidv7"), Some((18, 18)));
    }
}
