//! Privileges, from the `aclitem` texts of the catalog: `grantee=letters/grantor`, a star after a letter that may
//! be granted on.

use super::{Phase, Script};
use crate::sql::quote;

/// The list of a function (`X`) or type (`U`): without one of its own, everybody has that (`acldefault`).
pub(super) fn with_default(list: &[String], letter: char, owner: &str) -> Vec<String> {
    if list.is_empty() { vec![format!("={letter}/{}", quote::ident(owner))] } else { list.to_vec() }
}

/// GRANT and REVOKE that turn one list into the other. `owners` are the former and the next one, `prefix` stands before the statement, `column` is empty or
/// ` (column)` behind each privilege.
pub(super) fn change(
    prefix: &str,
    target: &str,
    column: &str,
    owners: &[&str],
    old: &[String],
    new: &[String],
    script: &mut Script,
) {
    if old == new {
        return;
    }
    // What an owner has goes with the ownership. The empty name is everybody, and no owner.
    let owns = |grantee: &str| !grantee.is_empty() && owners.contains(&grantee);
    for item in old.iter().filter(|item| !new.contains(item)) {
        if let Some((grantee, words)) = parse(item).filter(|(grantee, _)| !owns(grantee)) {
            let list = list(&words, column);
            script.add(Phase::Facts, format!("{prefix}REVOKE {list} ON {target} FROM {}", role(&grantee)));
        }
    }
    for item in new.iter().filter(|item| !old.contains(item)) {
        let Some((grantee, words)) = parse(item).filter(|(grantee, _)| !owns(grantee)) else {
            continue;
        };
        for with_option in [false, true] {
            let part: Vec<(&str, bool)> = words.iter().copied().filter(|(_, option)| *option == with_option).collect();
            if !part.is_empty() {
                let suffix = if with_option { " WITH GRANT OPTION" } else { "" };
                let list = list(&part, column);
                script.add(Phase::Facts, format!("{prefix}GRANT {list} ON {target} TO {}{suffix}", role(&grantee)));
            }
        }
    }
}

/// A role in SQL; the empty name and `public` are everybody.
pub(super) fn role(name: &str) -> String {
    if name.is_empty() || name == "public" { "PUBLIC".to_owned() } else { quote::ident(name) }
}

fn list(words: &[(&str, bool)], column: &str) -> String {
    words.iter().map(|(word, _)| format!("{word}{column}")).collect::<Vec<_>>().join(", ")
}

/// Grantee, and each privilege with whether it may be granted on.
fn parse(item: &str) -> Option<(String, Vec<(&'static str, bool)>)> {
    let (grantee, rest) = if let Some(quoted) = item.strip_prefix('"') {
        let end = quoted.find("\"=")?;
        (quoted.get(..end)?.replace("\"\"", "\""), quoted.get(end + 2..)?)
    } else {
        let (grantee, rest) = item.split_once('=')?;
        (grantee.to_owned(), rest)
    };
    let letters = rest.split_once('/').map_or(rest, |(letters, _)| letters);
    let mut words: Vec<(&'static str, bool)> = Vec::new();
    for letter in letters.chars() {
        if letter == '*' {
            words.last_mut()?.1 = true;
        } else {
            words.push((word(letter)?, false));
        }
    }
    Some((grantee, words))
}

/// The privilege behind a letter (documentation, "Privileges", table 5.1).
fn word(letter: char) -> Option<&'static str> {
    Some(match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'm' => "MAINTAIN",
        'U' => "USAGE",
        'C' => "CREATE",
        'X' => "EXECUTE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_server_prints() {
        assert_eq!(
            parse("\"a \"\"b\"=r*w/postgres"),
            Some(("a \"b".to_owned(), vec![("SELECT", true), ("UPDATE", false)]))
        );
        assert_eq!(parse("=r/o"), Some((String::new(), vec![("SELECT", false)])));
    }
}
