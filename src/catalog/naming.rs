//! The names that the server generates: for indexes, constraints, sequences and statistics objects.

use super::{Catalog, Name, TypeKind};

/// Longest identifier in bytes (`NAMEDATALEN - 1`).
pub const MAX_BYTES: usize = 63;

/// `name` cut to at most `bytes` bytes at a character boundary, as `pg_mbcliplen` does.
pub fn clip(name: &str, bytes: usize) -> &str {
    let mut end = name.len().min(bytes);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The parts of a name in a text, as `to_regclass` and casts to `regclass` read it (`SplitIdentifierString` in varlena.c):
/// neither comments nor keywords mean anything there. `None` where a part has other characters than plain names have.
pub fn parts_of_text(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut rest) = (Vec::new(), trimmed(text));
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => plain_part(rest)?,
        };
        parts.push(clip(&part, MAX_BYTES).to_owned());
        rest = trimmed(after);
        match rest.strip_prefix('.') {
            Some(next) => rest = trimmed(next),
            None => return rest.is_empty().then_some(parts),
        }
    }
}

/// Without the space of `scanner_isspace` in front.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}', '\u{b}'])
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (inside, after) = rest.split_once('"')?;
        part.push_str(inside);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return (!part.is_empty()).then_some((part, after)),
        }
    }
}

fn plain_part(text: &str) -> Option<(String, &str)> {
    let plain =
        |character: char| !character.is_ascii() || character.is_ascii_alphanumeric() || "_$".contains(character);
    let (part, after) = text.split_at(text.find(|character| !plain(character)).unwrap_or(text.len()));
    let begins = part.starts_with(|first: char| !first.is_ascii_digit() && first != '$');
    begins.then(|| (part.to_ascii_lowercase(), after))
}

/// `makeObjectName` (indexcmds.c): `first[_second]_label`, the longer of the first two cut until the whole fits.
pub fn object_name(first: &str, second: &str, label: &str) -> String {
    let overhead = if second.is_empty() { label.len() + 1 } else { label.len() + 2 };
    let available = MAX_BYTES.saturating_sub(overhead);
    let (mut first_bytes, mut second_bytes) = (first.len(), second.len());
    while first_bytes + second_bytes > available {
        if first_bytes > second_bytes {
            first_bytes -= 1;
        } else {
            second_bytes -= 1;
        }
    }
    let first = clip(first, first_bytes);
    if second.is_empty() {
        return format!("{first}_{label}");
    }
    format!("{first}_{}_{label}", clip(second, second_bytes))
}

/// The first of `first_second_label`, `..label1`, `..label2` and so on that is not taken.
fn choose(first: &str, second: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = object_name(first, second, label);
    let mut pass = 0;
    while taken(&name) {
        pass += 1;
        name = object_name(first, second, &format!("{label}{pass}"));
    }
    name
}

/// Whether a table or a domain of the schema has a constraint of that name (`ConstraintNameExists`).
pub fn constraint_exists(catalog: &Catalog, schema: &str, name: &str) -> bool {
    catalog.relations.has_constraint(schema, name)
        || in_schema(&catalog.types, schema).any(|(_, user_type)| match &user_type.kind {
            TypeKind::Domain { constraints, .. } => constraints.iter().any(|constraint| constraint.name == name),
            _ => false,
        })
}

/// The entries of one schema, without looking at the others.
fn in_schema<'a, T>(
    map: &'a std::collections::BTreeMap<Name, T>,
    schema: &'a str,
) -> impl Iterator<Item = (&'a Name, &'a T)> {
    map.range(Name::new(schema, "")..).take_while(move |(name, _)| name.schema == schema)
}

/// Whether a relation (or a composite type, which is one to the server) has that name.
pub fn relation_exists(catalog: &Catalog, name: &Name) -> bool {
    catalog.relations.contains_key(name)
        || catalog.types.get(name).is_some_and(|found| matches!(found.kind, TypeKind::Composite { .. }))
}

/// `ChooseRelationName`: a name for an index or a sequence. That of an index behind a constraint must not be the name
/// of another constraint either.
pub fn relation_name(
    catalog: &Catalog,
    schema: &str,
    (first, second, label): (&str, &str, &str),
    behind_constraint: bool,
) -> String {
    choose(first, second, label, |name| {
        relation_exists(catalog, &Name::new(schema, name))
            || behind_constraint && constraint_exists(catalog, schema, name)
    })
}

/// `ChooseConstraintName`: a name for a constraint without an index on `table`, which may be a domain.
pub fn constraint_name(catalog: &Catalog, table: &Name, second: &str, label: &str) -> String {
    choose(&table.name, second, label, |name| constraint_exists(catalog, &table.schema, name))
}

/// `ChooseExtendedStatisticName`.
pub fn statistics_name(catalog: &Catalog, schema: &str, table: &str, columns: &[String]) -> String {
    choose(table, &joined(columns), "stat", |name| catalog.statistics.contains_key(&Name::new(schema, name)))
}

/// `ChooseIndexNameAddition`: the column names as the middle part of a generated name.
pub fn joined<S: AsRef<str>>(columns: &[S]) -> String {
    let mut out = String::new();
    for column in columns {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(clip(column.as_ref(), MAX_BYTES));
        if out.len() > MAX_BYTES {
            break;
        }
    }
    out
}

/// `ChooseIndexColumnNames`: column names of an index, equal ones numbered from 1.
pub fn index_columns(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for original in names {
        let mut name = original.clone();
        let mut number = 0;
        while out.contains(&name) {
            number += 1;
            let suffix = number.to_string();
            name = format!("{}{suffix}", clip(&original, MAX_BYTES - suffix.len()));
        }
        out.push(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_the_longer_part_first() {
        let long = "a".repeat(60);
        assert_eq!(object_name("t", "c", "key"), "t_c_key");
        assert_eq!(object_name("t", "", "pkey"), "t_pkey");
        let name = object_name(&long, "short_column", "fkey");
        assert_eq!(name.len(), MAX_BYTES);
        assert!(name.ends_with("_short_column_fkey"), "{name}");
        let both = object_name(&long, &"b".repeat(60), "idx");
        assert_eq!(both, format!("{}_{}_idx", "a".repeat(29), "b".repeat(29)));
    }

    #[test]
    fn reads_names_as_the_server_does() {
        for (text, wanted) in [
            ("a", Some(vec!["a"])),
            (" Public . User ", Some(vec!["public", "user"])),
            ("\"A\"\"b\".c$1", Some(vec!["A\"b", "c$1"])),
            ("/* here */a", None),
            ("only a", None),
            ("a, b", None),
            ("a.", None),
            ("\"a", None),
            ("\"\"", None),
            ("1a", None),
            ("", None),
        ] {
            let wanted = wanted.map(|parts| parts.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(parts_of_text(text), wanted, "{text}");
        }
    }

    #[test]
    fn never_cuts_a_character_in_two() {
        let name = object_name(&"ü".repeat(40), "x", "idx");
        assert!(name.len() <= MAX_BYTES && name.starts_with("üü") && name.ends_with("_x_idx"));
    }

    #[test]
    fn numbers_clashes() {
        let taken = ["t_a_check", "t_a_check1"];
        assert_eq!(choose("t", "a", "check", |name| taken.contains(&name)), "t_a_check2");
        assert_eq!(index_columns(["expr", "expr", "a", "expr"].map(String::from)), ["expr", "expr1", "a", "expr2"]);
    }
}
