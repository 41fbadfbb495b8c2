//! The texts of a backfill's statements. Keys travel as text: `$1::text::bigint`.

use crate::plan::Backfill;
use crate::sql::quote;

/// A key column with its type as `format_type(oid, -1)` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyColumn {
    /// Unquoted.
    pub name: String,
    /// Type without modifier.
    pub data_type: String,
}

/// `schema.table`.
pub(super) fn table(spec: &Backfill) -> String {
    quote::qualified(&spec.schema, &spec.table)
}

/// Greatest key.
pub(super) fn upper(spec: &Backfill, key: &[KeyColumn]) -> String {
    format!("SELECT {} FROM ONLY {} ORDER BY {} LIMIT 1", texts(key), table(spec), order(key, " DESC"))
}

/// Rows of a share that are tried one by one to name the one that fails.
const CANDIDATES: i32 = 1_000;

/// The key of the n-th row after the last one, n from 0 as the last parameter. `from` says whether there is a
/// last key (parameters 1 to k); the upper bound follows.
pub(super) fn next(spec: &Backfill, key: &[KeyColumn], from: bool) -> String {
    let count = if from { 2 * key.len() } else { key.len() };
    format!(
        "SELECT {} FROM ONLY {} WHERE {} ORDER BY {} OFFSET ${}::bigint LIMIT 1",
        texts(key),
        table(spec),
        range(key, from),
        order(key, ""),
        count + 1
    )
}

/// Changes the rows between the last key (if `from`) and the given one, inclusive.
pub(super) fn update_range(spec: &Backfill, key: &[KeyColumn], from: bool) -> String {
    format!("{} WHERE {}{}", set(spec), range(key, from), filter(spec))
}

/// Changes a share of the rows of the same range: those that `hash` gives the last parameter of `ways`.
pub(super) fn update_range_share(spec: &Backfill, key: &[KeyColumn], from: bool, (hash, ways): (&str, i32)) -> String {
    let turn = if from { 2 * key.len() } else { key.len() } + 1;
    format!("{} WHERE {} AND {}{}", set(spec), range(key, from), share(hash, ways, turn), filter(spec))
}

/// `ctid` of the first rows in the same range, of one share of them (the last parameter) where a hash is given. Without
/// the filter, which may be what fails.
pub(super) fn locate(spec: &Backfill, key: &[KeyColumn], from: bool, of: Option<(&str, i32)>) -> String {
    let turn = if from { 2 * key.len() } else { key.len() } + 1;
    format!(
        "SELECT ctid::text FROM ONLY {} WHERE {}{} ORDER BY {} LIMIT {}",
        table(spec),
        range(key, from),
        of.map(|(hash, ways)| format!(" AND {}", share(hash, ways, turn))).unwrap_or_default(),
        order(key, ""),
        if of.is_some() { CANDIDATES } else { 1 }
    )
}

/// Changes the rows of the blocks from `$1` to before `$2`.
pub(super) fn update_blocks(spec: &Backfill) -> String {
    format!("{} WHERE {}{}", set(spec), blocks(), filter(spec))
}

/// Changes a share of the rows of the blocks from `$1` to before `$2`: those that `hash` gives turn `$3` of `ways`.
pub(super) fn update_share(spec: &Backfill, hash: &str, ways: i32) -> String {
    format!("{} WHERE {} AND {}{}", set(spec), blocks(), share(hash, ways, 3), filter(spec))
}

/// `ctid` of the rows in the blocks from `$1` to before `$2`. Without the filter, which may be what fails.
pub(super) fn list_blocks(spec: &Backfill) -> String {
    format!("SELECT ctid::text AS place FROM ONLY {} WHERE {} ORDER BY ctid", table(spec), blocks())
}

/// Changes one row by `ctid`.
pub(super) fn update_row(spec: &Backfill) -> String {
    format!("{} WHERE ctid = $1::text::tid{}", set(spec), filter(spec))
}

/// Changes everything in one statement.
pub(super) fn update_all(spec: &Backfill) -> String {
    match &spec.filter {
        Some(filter) => format!("{} WHERE {}", set(spec), enclosed(filter)),
        None => set(spec),
    }
}

/// Whether a row is left that the filter wants changed.
pub(super) fn remaining(spec: &Backfill) -> Option<String> {
    let filter = spec.filter.as_ref()?;
    Some(format!("SELECT EXISTS (SELECT FROM ONLY {} WHERE {})", table(spec), enclosed(filter)))
}

fn set(spec: &Backfill) -> String {
    let assignments: Vec<String> = spec
        .assignments
        .iter()
        .map(|assignment| format!("{} = {}", quote::ident(&assignment.column), enclosed(&assignment.expression)))
        .collect();
    format!("UPDATE ONLY {} SET {}", table(spec), assignments.join(", "))
}

fn filter(spec: &Backfill) -> String {
    spec.filter.as_ref().map(|filter| format!(" AND {}", enclosed(filter))).unwrap_or_default()
}

fn share(hash: &str, ways: i32, parameter: usize) -> String {
    format!("(coalesce({hash}, 0) & 1023) % {ways} = ${parameter}::integer")
}

/// In parentheses, also when it ends in a comment.
fn enclosed(expression: &str) -> String {
    if expression.contains("--") { format!("({expression}\n)") } else { format!("({expression})") }
}

fn blocks() -> &'static str {
    "ctid >= $1::text::tid AND ctid < $2::text::tid"
}

/// With names of their own: `ORDER BY id` means the output column where there is one of that name, and would sort
/// as text.
fn texts(key: &[KeyColumn]) -> String {
    let columns: Vec<String> = (1..)
        .zip(key)
        .map(|(number, column)| format!("{}::text AS wesley_{number}", quote::ident(&column.name)))
        .collect();
    columns.join(", ")
}

fn order(key: &[KeyColumn], direction: &str) -> String {
    let columns: Vec<String> = key.iter().map(|column| format!("{}{direction}", quote::ident(&column.name))).collect();
    columns.join(", ")
}

/// `(a, b) > ($1, $2) AND (a, b) <= ($3, $4)`, and the same of the first column alone: the server estimates a
/// comparison of rows by its first column and does not see that both ends belong together, and would read the whole
/// table.
fn range(key: &[KeyColumn], from: bool) -> String {
    let names: Vec<String> = key.iter().map(|column| quote::ident(&column.name)).collect();
    let values = |first: usize| -> Vec<String> {
        (first..).zip(key).map(|(number, column)| format!("${number}::text::{}", column.data_type)).collect()
    };
    let (low, high) = (values(1), values(if from { key.len() + 1 } else { 1 }));
    let mut terms = Vec::new();
    match names.as_slice() {
        [name] => {
            if from {
                terms.push(format!("{name} > {}", low[0]));
            }
            terms.push(format!("{name} <= {}", high[0]));
        }
        _ => {
            let row = names.join(", ");
            if from {
                terms.push(format!("({row}) > ({})", low.join(", ")));
                terms.push(format!("{} >= {}", names[0], low[0]));
            }
            terms.push(format!("({row}) <= ({})", high.join(", ")));
            terms.push(format!("{} <= {}", names[0], high[0]));
        }
    }
    terms.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Assignment;

    fn spec(filter: Option<&str>) -> Backfill {
        Backfill {
            schema: "public".into(),
            table: "Orders".into(),
            key: vec!["a".into(), "B".into()],
            assignments: vec![Assignment { column: "new".into(), expression: "old + 1".into() }],
            filter: filter.map(str::to_owned),
            idempotent: filter.is_some(),
        }
    }

    fn key() -> Vec<KeyColumn> {
        [("a", "bigint"), ("B", "text")]
            .map(|(name, data_type)| KeyColumn { name: name.into(), data_type: data_type.into() })
            .into()
    }

    #[test]
    fn composite_keys_compare_as_rows() {
        assert_eq!(
            update_range(&spec(Some("new IS NULL")), &key(), true),
            "UPDATE ONLY public.\"Orders\" SET new = (old + 1) WHERE (a, \"B\") > ($1::text::bigint, $2::text::text) \
             AND a >= $1::text::bigint AND (a, \"B\") <= ($3::text::bigint, $4::text::text) \
             AND a <= $3::text::bigint AND (new IS NULL)"
        );
        assert_eq!(
            next(&spec(None), &key()[..1], true),
            "SELECT a::text AS wesley_1 FROM ONLY public.\"Orders\" WHERE a > $1::text::bigint AND a <= $2::text::bigint \
             ORDER BY a OFFSET $3::bigint LIMIT 1"
        );
    }

    #[test]
    fn the_first_batch_has_no_lower_bound() {
        assert_eq!(
            update_range(&spec(None), &key()[..1], false),
            "UPDATE ONLY public.\"Orders\" SET new = (old + 1) WHERE a <= $1::text::bigint"
        );
    }

    #[test]
    fn the_share_is_the_last_parameter() {
        assert_eq!(
            update_range_share(&spec(None), &key()[..1], true, ("hashint8(a)", 6)),
            "UPDATE ONLY public.\"Orders\" SET new = (old + 1) WHERE a > $1::text::bigint AND a <= $2::text::bigint \
             AND (coalesce(hashint8(a), 0) & 1023) % 6 = $3::integer"
        );
    }

    #[test]
    fn every_text_is_one_statement() {
        let (spec, key) = (spec(Some("new IS NULL")), key());
        let texts = [
            upper(&spec, &key),
            next(&spec, &key, false),
            next(&spec, &key, true),
            update_range(&spec, &key, false),
            update_range_share(&spec, &key, true, ("hashint8(a)", 6)),
            locate(&spec, &key, true, None),
            locate(&spec, &key, false, Some(("hashint8(a)", 6))),
            update_blocks(&spec),
            update_share(&spec, "hashint8(a)", 6),
            list_blocks(&spec),
            update_row(&spec),
            update_all(&spec),
            remaining(&spec).unwrap(),
        ];
        for text in texts {
            assert_eq!(crate::sql::parse(&text).unwrap().len(), 1, "{text}");
        }
    }
}
