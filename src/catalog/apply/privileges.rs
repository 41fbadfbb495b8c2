//! Access privileges, as the catalog prints them: `grantee=letters/grantor`.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Relation, RelationKind};
use crate::sql::quote;

/// The SQL name of a privilege's letter (documentation, "Privileges", table 5.1).
pub(crate) fn word(letter: char) -> Option<&'static str> {
    NAMES.iter().find(|(_, own)| *own == letter).map(|(name, _)| *name)
}

/// Letters of the privileges an object kind has, in the order the server prints them. Kinds: `r` table, `S`
/// sequence, `f` function, `T` type, `n` schema, `c` column.
pub(super) fn letters(kind: char, major: i32) -> &'static str {
    match kind {
        'r' if major >= 17 => "arwdDxtm",
        'r' => "arwdDxt",
        'S' => "rwU",
        'f' => "X",
        'T' => "U",
        'n' => "UC",
        'c' => "arwx",
        'd' => "CTc",
        _ => "",
    }
}

/// SQL names of the privileges with the letters that stand for them (table 5.1 of the documentation).
const NAMES: [(&str, char); 13] = [
    ("INSERT", 'a'),
    ("SELECT", 'r'),
    ("UPDATE", 'w'),
    ("DELETE", 'd'),
    ("TRUNCATE", 'D'),
    ("REFERENCES", 'x'),
    ("TRIGGER", 't'),
    ("MAINTAIN", 'm'),
    ("USAGE", 'U'),
    ("CREATE", 'C'),
    ("CONNECT", 'c'),
    ("TEMPORARY", 'T'),
    ("EXECUTE", 'X'),
];

/// The letter of a privilege's SQL name, as the parser gives it.
pub(super) fn letter(name: &str) -> Option<char> {
    let name = if name == "temp" { "temporary" } else { name };
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, letter)| *letter)
}

/// A list of access privileges. The grantee of PUBLIC is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    /// In the order of the list: grantee, grantor, and letters with whether they may be granted on.
    entries: Vec<(String, String, BTreeMap<char, bool>)>,
}

impl Privileges {
    /// What an object has that was never granted on (`acldefault`).
    pub(crate) fn default_of(kind: char, owner: &str, major: i32) -> Self {
        let mut privileges = Self::default();
        let to_public = match kind {
            'f' => "X",
            'T' => "U",
            _ => "",
        };
        for letter in to_public.chars() {
            privileges.grant("", owner, letter, false);
        }
        if kind != 'c' {
            for letter in letters(kind, major).chars() {
                privileges.grant(owner, owner, letter, false);
            }
        }
        privileges
    }

    /// What the list of an object says: without one, what its kind has anyway. Kinds as in [`Self::default_of`].
    pub(crate) fn of(list: &[String], kind: char, owner: &str, major: i32) -> Self {
        if list.is_empty() { Self::default_of(kind, owner, major) } else { Self::parse(list) }
    }

    /// Every privilege: grantee, grantor, letter, and whether it may be granted on.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &str, char, bool)> {
        self.entries.iter().flat_map(|(grantee, grantor, letters)| {
            letters.iter().map(move |(letter, option)| (grantee.as_str(), grantor.as_str(), *letter, *option))
        })
    }

    /// Whether the grantee has the privilege from the grantor, and if so whether it may be granted on.
    pub(crate) fn has(&self, grantee: &str, grantor: &str, letter: char) -> Option<bool> {
        let (_, _, letters) = self.entries.iter().find(|(to, by, _)| to == grantee && by == grantor)?;
        letters.get(&letter).copied()
    }

    /// Reads what [`Privileges::print`] writes.
    pub(super) fn parse(items: &[String]) -> Self {
        let mut privileges = Self::default();
        for item in items {
            let Some((grantee, rest)) = identifier(item) else { continue };
            let Some((given, grantor)) = rest.strip_prefix('=').and_then(|rest| rest.split_once('/')) else { continue };
            let grantor = identifier(grantor).map_or_else(|| grantor.to_owned(), |(name, _)| name);
            let mut letters = given.chars().peekable();
            while let Some(letter) = letters.next() {
                let option = letters.next_if_eq(&'*').is_some();
                privileges.grant(&grantee, &grantor, letter, option);
            }
        }
        privileges
    }

    pub(super) fn grant(&mut self, grantee: &str, grantor: &str, letter: char, option: bool) {
        let found = self.entries.iter_mut().find(|(to, by, _)| to == grantee && by == grantor);
        let entry = match found {
            Some((_, _, letters)) => letters,
            None => {
                self.entries.push((grantee.to_owned(), grantor.to_owned(), BTreeMap::new()));
                match self.entries.last_mut() {
                    Some((_, _, letters)) => letters,
                    None => return,
                }
            }
        };
        *entry.entry(letter).or_default() |= option;
    }

    /// Takes the privilege, or only the right to grant it on.
    pub(crate) fn revoke(&mut self, grantee: &str, grantor: &str, letter: char, only_option: bool) {
        for (to, by, letters) in &mut self.entries {
            if to == grantee && by == grantor {
                if only_option {
                    letters.entry(letter).and_modify(|option| *option = false);
                } else {
                    letters.remove(&letter);
                }
            }
        }
        self.entries.retain(|(_, _, letters)| !letters.is_empty());
    }

    /// Everything of one role goes to another (`aclnewowner`).
    pub(crate) fn change_owner(&mut self, old: &str, new: &str) {
        let swap = |role: String| if role == old { new.to_owned() } else { role };
        let entries = std::mem::take(&mut self.entries);
        for (grantee, grantor, letters) in entries {
            let (grantee, grantor) = (swap(grantee), swap(grantor));
            for (letter, option) in letters {
                self.grant(&grantee, &grantor, letter, option);
            }
        }
    }

    /// Removes every grant to the role.
    pub(super) fn forget(&mut self, role: &str) {
        self.entries.retain(|(grantee, _, _)| grantee != role);
    }

    /// Adds all of another list.
    fn merge(&mut self, other: Privileges) {
        for (grantee, grantor, letters) in other.entries {
            for (letter, option) in letters {
                self.grant(&grantee, &grantor, letter, option);
            }
        }
    }

    /// As `relacl` prints it.
    pub(super) fn print(&self) -> Vec<String> {
        // ACL_ALL_RIGHTS_STR of acl.h.
        const ORDER: &str = "arwdDxtXUCTcsAm";
        self.entries
            .iter()
            .map(|(grantee, grantor, letters)| {
                let mut given: Vec<(char, bool)> = letters.iter().map(|(letter, option)| (*letter, *option)).collect();
                given.sort_by_key(|(letter, _)| ORDER.find(*letter));
                let given: String = given
                    .into_iter()
                    .map(|(letter, option)| format!("{letter}{}", if option { "*" } else { "" }))
                    .collect();
                format!("{}={given}/{}", role(grantee), role(grantor))
            })
            .collect()
    }
}

/// A role's name as access privileges show it (`putid`): only letters, digits and `_` go unquoted.
fn role(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A role's name at the front of the text, and what follows.
fn identifier(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('"') {
        let end = rest.match_indices('"').find(|(at, _)| !rest[at + 1..].starts_with('"'))?.0;
        return Some((rest[..end].replace("\"\"", "\""), &rest[end + 1..]));
    }
    let end = text.find(['=', '/']).unwrap_or(text.len());
    Some((text[..end].to_owned(), &text[end..]))
}

/// The privileges a new object of the current user starts with (`get_user_default_acl`): none, unless there are
/// default privileges.
pub(crate) fn initial(catalog: &Catalog, kind: char, schema: &str, owner: &str) -> Vec<String> {
    let of = |in_schema: Option<&str>| {
        catalog
            .default_privileges
            .iter()
            .find(|found| found.role == owner && found.object == kind && found.schema.as_deref() == in_schema)
            .map(|found| Privileges::parse(&found.privileges))
    };
    let (everywhere, here) = (of(None), of(Some(schema)));
    if everywhere.is_none() && here.is_none() {
        return Vec::new();
    }
    let default = Privileges::default_of(kind, owner, catalog.server.major());
    let mut privileges = everywhere.unwrap_or_else(|| default.clone());
    if let Some(here) = here {
        privileges.merge(here);
    }
    if privileges == default { Vec::new() } else { privileges.print() }
}

/// What a relation has that was never granted on, as the catalog prints it once it is granted on.
pub(crate) fn of_owner(relation: &Relation, major: i32) -> Vec<String> {
    let kind = if relation.kind == RelationKind::Sequence { 'S' } else { 'r' };
    Privileges::default_of(kind, &relation.owner, major).print()
}

/// Quoted for a message.
pub(super) fn quoted(role: &str) -> String {
    quote::ident(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_survive_reading_and_printing() {
        let items = ["postgres=arwdDxt/postgres", "=r/postgres", "\"odd-one\"=r*w/postgres"].map(String::from);
        assert_eq!(Privileges::parse(&items).print(), items);
    }

    #[test]
    fn a_revoked_default_is_remembered() {
        let mut privileges = Privileges::default_of('f', "app", 16);
        privileges.revoke("", "app", 'X', false);
        assert_eq!(privileges.print(), ["app=X/app"]);
    }
}
