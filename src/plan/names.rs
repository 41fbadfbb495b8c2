//! Names of objects that the plan makes for itself.

use crate::catalog::{Catalog, Name, Relation};

/// `NAMEDATALEN - 1`: the server cuts longer names, which could make two of them one.
const LIMIT: usize = 63;

/// A name for a constraint on `table` that nothing has yet: `first_second_label`, cut to 63 bytes as the server
/// cuts its own (`makeObjectName` in indexcmds.c: the longer of the two parts loses first), with a number when
/// taken.
pub(super) fn constraint(catalog: &Catalog, table: &Name, second: &str, label: &str) -> String {
    let taken = |name: &str| {
        catalog.relations.get(table).is_some_and(|relation| relation.constraint(name).is_some())
            || catalog.relations.contains_key(&Name::new(table.schema.clone(), name))
    };
    free(&table.name, second, label, taken)
}

/// A name for a relation in the schema of `table` that nothing has yet.
pub(super) fn relation(catalog: &Catalog, table: &Name, second: &str, label: &str) -> Name {
    let taken = |name: &str| catalog.relations.contains_key(&Name::new(table.schema.clone(), name));
    Name::new(table.schema.clone(), free(&table.name, second, label, taken))
}

/// A name for a routine in the schema of `table` that nothing has yet.
pub(super) fn routine(catalog: &Catalog, table: &Name, second: &str, label: &str) -> Name {
    let taken =
        |name: &str| catalog.functions.iter().any(|known| known.name.schema == table.schema && known.name.name == name);
    Name::new(table.schema.clone(), free(&table.name, second, label, taken))
}

/// A name for a type beside `name` that neither a type nor a relation has yet.
pub(super) fn user_type(catalog: &Catalog, name: &Name, label: &str) -> Name {
    let taken = |other: &str| {
        let other = Name::new(name.schema.clone(), other);
        catalog.types.contains_key(&other) || catalog.relations.contains_key(&other)
    };
    let numbered = (0..).map(|number| if number == 0 { label.to_owned() } else { format!("{label}{number}") });
    let cut = |label: String| format!("{}_{label}", cut(&name.name, LIMIT.saturating_sub(label.len() + 1)));
    let free = numbered.map(cut).find(|other| !taken(other));
    Name::new(name.schema.clone(), free.unwrap_or_default())
}

/// A name for a column beside `column` that none of these relations has yet: `column_label`.
pub(super) fn column(relations: &[&Relation], column: &str, label: &str) -> String {
    let mut number = 0;
    loop {
        let label = if number == 0 { label.to_owned() } else { format!("{label}{number}") };
        let name = format!("{}_{label}", cut(column, LIMIT.saturating_sub(label.len() + 1)));
        if relations.iter().all(|relation| relation.column(&name).is_none()) {
            return name;
        }
        number += 1;
    }
}

/// A name for a trigger of the relations that fires after all its others: the server goes by their names, byte by
/// byte (`RelationBuildTriggers` in trigger.c). `None` where one has the last name there is.
pub(super) fn last_trigger(relations: &[&Relation], column: &str, label: &str) -> Option<String> {
    let triggers = relations.iter().flat_map(|relation| &relation.triggers);
    let last = triggers.map(|trigger| trigger.name.as_str()).max().unwrap_or_default();
    (0..LIMIT).map(|more| format!("zz{}_", "z".repeat(more))).find_map(|prefix| {
        let room = LIMIT.checked_sub(prefix.len() + label.len() + 1)?;
        let name = format!("{prefix}{}_{label}", cut(column, room));
        (name.as_str() > last).then_some(name)
    })
}

fn free(first: &str, second: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut number = 0;
    loop {
        let name =
            if number == 0 { joined(first, second, label) } else { joined(first, second, &format!("{label}{number}")) };
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

fn joined(first: &str, second: &str, label: &str) -> String {
    let room = LIMIT.saturating_sub(label.len() + 2);
    let (mut left, mut right) = (first.len(), second.len());
    while left + right > room {
        if left > right {
            left -= 1;
        } else {
            right -= 1;
        }
    }
    format!("{}_{}_{label}", cut(first, left), cut(second, right))
}

/// The longest prefix of whole characters within `bytes`.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::RelationKind;

    #[test]
    fn stays_within_63_bytes_of_whole_characters() {
        let table = Name::new("s", "ü".repeat(31));
        let name = constraint(&Catalog::default(), &table, &"ö".repeat(31), "not_null");
        assert!(name.len() <= LIMIT, "{name}");
        assert!(name.ends_with("_not_null") && name.starts_with("üü"), "{name}");
    }

    #[test]
    fn evades_what_is_there() {
        let mut catalog = Catalog::default();
        catalog.relations.insert(Name::new("s", "t_c_seq"), Relation::new(RelationKind::Sequence, "o"));
        assert_eq!(relation(&catalog, &Name::new("s", "t"), "c", "seq").name, "t_c_seq1");
    }
}
