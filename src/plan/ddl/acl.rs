//! Privileges, from the `aclitem` lists of the catalog.

use super::{Phase, Script};
use crate::catalog::apply::{Privileges, privilege_word};
use crate::sql::quote;

/// What privileges are on.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    /// Before the statement: `ALTER DEFAULT PRIVILEGES ...`, or nothing.
    pub prefix: &'a str,
    /// Behind `ON`.
    pub target: &'a str,
    /// Behind each privilege: ` (column)`, or nothing.
    pub column: &'a str,
    /// Who owns it in the end.
    pub owner: &'a str,
}

/// A privilege that was taken back, or only the right to grant it on.
pub(super) struct Revoked {
    grantee: String,
    letter: char,
    only_option: bool,
}

/// GRANT and REVOKE that turn one list into the other; what they take back.
pub(super) fn change(object: &Object<'_>, old: &Privileges, new: &Privileges, script: &mut Script) -> Vec<Revoked> {
    let mut revoked = Vec::new();
    let mut groups: Vec<(Kind, String, Vec<&'static str>)> = Vec::new();
    let mut group = |kind: Kind, grantee: &str, letter: char| {
        let Some(word) = privilege_word(letter) else { return };
        match groups.iter_mut().find(|(known, to, _)| *known == kind && to == grantee) {
            Some((_, _, words)) => words.push(word),
            None => groups.push((kind, grantee.to_owned(), vec![word])),
        }
    };
    let mut foreign = false;
    for (grantee, grantor, letter, option) in old.each() {
        let only_option = match new.has(grantee, grantor, letter) {
            Some(kept) if kept || !option => continue,
            Some(_) => true,
            None => false,
        };
        foreign |= grantor != object.owner;
        group(if only_option { Kind::RevokeOption } else { Kind::Revoke }, grantee, letter);
        revoked.push(Revoked { grantee: grantee.to_owned(), letter, only_option });
    }
    for (grantee, grantor, letter, option) in new.each() {
        if old.has(grantee, grantor, letter).is_some_and(|had| had || !option) {
            continue;
        }
        foreign |= grantor != object.owner;
        group(if option { Kind::GrantWithOption } else { Kind::Grant }, grantee, letter);
    }
    if foreign {
        // GRANTED BY takes nobody but the current user.
        script.gap(format!("privileges on {} were granted by another role than its owner", object.target));
    }
    groups.sort_by_key(|(kind, _, _)| *kind);
    for (kind, grantee, words) in groups {
        let words: Vec<String> = words.iter().map(|word| format!("{word}{}", object.column)).collect();
        let (prefix, list, on, role) = (object.prefix, words.join(", "), object.target, role(&grantee));
        script.add(
            Phase::Facts,
            match kind {
                Kind::Revoke => format!("{prefix}REVOKE {list} ON {on} FROM {role}"),
                Kind::RevokeOption => format!("{prefix}REVOKE GRANT OPTION FOR {list} ON {on} FROM {role}"),
                Kind::Grant => format!("{prefix}GRANT {list} ON {on} TO {role}"),
                Kind::GrantWithOption => format!("{prefix}GRANT {list} ON {on} TO {role} WITH GRANT OPTION"),
            },
        );
    }
    revoked
}

/// In the order of execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Revoke,
    RevokeOption,
    Grant,
    GrantWithOption,
}

/// What is left of a column's list when the table's was taken back: that takes it from the columns too
/// (documentation of `REVOKE`).
pub(super) fn without(mut column: Privileges, owner: &str, revoked: &[Revoked]) -> Privileges {
    for Revoked { grantee, letter, only_option } in revoked {
        column.revoke(grantee, owner, *letter, *only_option);
    }
    column
}

/// A role in SQL; the empty name and `public` are everybody.
pub(super) fn role(name: &str) -> String {
    if name.is_empty() || name == "public" { "PUBLIC".to_owned() } else { quote::ident(name) }
}
