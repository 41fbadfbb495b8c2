//! Operators and overloads of functions with the types they take, for choosing among them as the server does.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Majors, letter};

/// A function, aggregate or window function. Types are internal names, arrays with `[]` behind.
#[derive(Clone, Debug)]
pub struct BuiltinSignature {
    majors: Majors,
    /// Argument types.
    pub arguments: Vec<&'static str>,
    /// Result type.
    pub result: &'static str,
    /// Returns a set.
    pub set: bool,
    /// `f` function, `a` aggregate, `w` window function, `p` procedure.
    pub kind: char,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: char,
    /// How many of the last arguments have a default.
    pub defaults: usize,
    /// The last argument is variadic.
    pub variadic: bool,
    /// Output columns as name and type, where it has any.
    pub outputs: Vec<(&'static str, &'static str)>,
}

/// An operator. Types are internal names, arrays with `[]` behind.
#[derive(Clone, Debug)]
pub struct BuiltinOperator {
    majors: Majors,
    /// Left operand's type; empty for prefix operators.
    pub left: &'static str,
    /// Right operand's type.
    pub right: &'static str,
    /// Result type.
    pub result: &'static str,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: char,
}

/// Lines of tab-separated fields, first the majors: empty for all, else `first-`, `-last` or `first-last`.
fn rows(data: &'static str) -> impl Iterator<Item = (Majors, std::str::Split<'static, char>)> {
    data.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split('\t');
        let (first, last) = fields.next().and_then(|majors| majors.split_once('-')).unwrap_or(("", ""));
        let majors = Majors { first: first.parse().unwrap_or(13), last: last.parse().unwrap_or(super::NEWEST) };
        (majors, fields)
    })
}

static SIGNATURES: LazyLock<HashMap<&'static str, Vec<BuiltinSignature>>> = LazyLock::new(|| {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for (majors, mut fields) in rows(include_str!("signatures.tsv")) {
        let mut next = || fields.next().unwrap_or("");
        let (name, arguments, result, kind) = (next(), next(), next(), letter(next()));
        let (volatility, defaults, variadic, outputs) = (letter(next()), next(), next() == "v", next());
        let signature = BuiltinSignature {
            majors,
            arguments: arguments.split(',').filter(|argument| !argument.is_empty()).collect(),
            result: result.strip_prefix("setof ").unwrap_or(result),
            set: result.starts_with("setof "),
            kind,
            volatility,
            defaults: defaults.parse().unwrap_or(0),
            variadic,
            outputs: outputs.split(',').filter_map(|output| output.split_once(' ')).collect(),
        };
        all.entry(name).or_default().push(signature);
    }
    all
});

static OPERATORS: LazyLock<HashMap<&'static str, Vec<BuiltinOperator>>> = LazyLock::new(|| {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for (majors, mut fields) in rows(include_str!("operators.tsv")) {
        let mut next = || fields.next().unwrap_or("");
        let (name, left, right, result, volatility) = (next(), next(), next(), next(), letter(next()));
        all.entry(name).or_default().push(BuiltinOperator { majors, left, right, result, volatility });
    }
    all
});

/// Overloads of the function in that major.
pub fn signatures(name: &str, major: i32) -> impl Iterator<Item = &'static BuiltinSignature> {
    let all = SIGNATURES.get(name).map_or(&[][..], Vec::as_slice);
    all.iter().filter(move |signature| signature.majors.contain(major))
}

/// Operators of that name in the major.
pub fn operators(name: &str, major: i32) -> impl Iterator<Item = &'static BuiltinOperator> {
    let all = OPERATORS.get(name).map_or(&[][..], Vec::as_slice);
    all.iter().filter(move |operator| operator.majors.contain(major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overloads_and_operators_of_a_major() {
        let takes_text = |signature: &&BuiltinSignature| signature.arguments == ["text"] && signature.result == "text";
        assert_eq!(signatures("lower", 15).filter(takes_text).count(), 1);
        assert_eq!(signatures("any_value", 15).count(), 0);
        assert_eq!(signatures("any_value", 16).count(), 1);
        assert!(operators("=", 14).any(|operator| operator.left == "int4" && operator.right == "int8"));
    }
}
