//! Sequences.

use super::{Phase, Script};
use crate::catalog::{Name, Relation, Sequence};
use crate::sql::quote;

/// Options of `CREATE SEQUENCE`, with a leading blank.
pub(in crate::plan) fn options(facts: &Sequence) -> String {
    format!(" AS {}{}", facts.data_type, numbers(facts))
}

fn numbers(facts: &Sequence) -> String {
    format!(
        " INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {}{}",
        facts.increment,
        facts.minimum,
        facts.maximum,
        facts.start,
        facts.cache,
        if facts.cycle { " CYCLE" } else { "" }
    )
}

/// The options inside the parentheses of `GENERATED ... AS IDENTITY ( )`, with the sequence's name.
pub(super) fn identity_options(name: &Name, facts: &Sequence) -> String {
    format!("SEQUENCE NAME {name}{}", numbers(facts))
}

/// `CREATE SEQUENCE` for one that no identity column brings along.
pub(super) fn create(name: &Name, relation: &Relation, script: &mut Script) {
    let Some(facts) = &relation.sequence else {
        return;
    };
    if facts.identity {
        return;
    }
    script.add(Phase::CreateSequence, format!("CREATE SEQUENCE {name}{}", options(facts)));
    owned(name, facts, script);
    script.lose(format!("the position of sequence {name}"));
}

fn owned(name: &Name, facts: &Sequence, script: &mut Script) {
    if let Some(owner) = &facts.owned_by {
        let column = owner.column.as_deref().unwrap_or_default();
        script.add(Phase::Own, format!("ALTER SEQUENCE {name} OWNED BY {}.{}", owner.relation, quote::ident(column)));
    }
}

/// Differences of a sequence that stays.
pub(super) fn change(name: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    let (Some(old), Some(new)) = (&old.sequence, &new.sequence) else {
        return;
    };
    if old == new || new.identity || old.identity {
        return;
    }
    let plain = |facts: &Sequence| Sequence { owned_by: None, ..facts.clone() };
    if plain(old) != plain(new) {
        let cycle = if new.cycle { "" } else { " NO CYCLE" };
        script.add(Phase::Column, format!("ALTER SEQUENCE {name}{}{cycle}", options(new)));
    }
    if old.owned_by != new.owned_by {
        if new.owned_by.is_none() {
            script.add(Phase::Own, format!("ALTER SEQUENCE {name} OWNED BY NONE"));
        }
        owned(name, new, script);
    }
}
