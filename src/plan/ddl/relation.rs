//! Relations as wholes: which go, which come, and what differs in those that stay.

use super::{Ends, Phase, Script, acl, column, constraint, index, sequence, table, view};
use crate::catalog::apply::{Privileges, initial_privileges};
use crate::catalog::{Column, Name, Relation, RelationKind, ReplicaIdentity};
use crate::sql::quote;

/// Relations of `from` that `to` does not have.
pub(super) fn drops(ends: &Ends<'_>, script: &mut Script) {
    let mut tables = Vec::new();
    for (name, relation) in ends.gone() {
        if ends.skip.relation(name) || of_extension(ends, relation) {
            continue;
        }
        match relation.kind {
            // With `IF EXISTS`, because undoing a later step may have taken it along.
            RelationKind::Table | RelationKind::PartitionedTable => tables.push(name.to_string()),
            RelationKind::ForeignTable => {
                script.add(Phase::DropTable, format!("DROP FOREIGN TABLE IF EXISTS {name}"));
            }
            RelationKind::View | RelationKind::MaterializedView => view::drop(name, relation, script),
            RelationKind::Index | RelationKind::PartitionedIndex => index::drop(ends, name, relation, script),
            RelationKind::Sequence => {
                let owned = relation.sequence.as_ref().is_some_and(|facts| {
                    facts.identity
                        || facts.owned_by.as_ref().is_some_and(|owner| {
                            ends.to.relations.get(&owner.relation).is_none_or(|table| {
                                owner.column.as_ref().is_some_and(|column| table.column(column).is_none())
                            })
                        })
                });
                // An owned one goes with its column.
                if !owned {
                    script.add(Phase::DropSequence, format!("DROP SEQUENCE IF EXISTS {name}"));
                }
            }
        }
    }
    if !tables.is_empty() {
        script.add(Phase::DropTable, format!("DROP TABLE IF EXISTS {}", tables.join(", ")));
    }
}

/// Relations of `to` that `from` does not have. Parents come before their partitions and children.
pub(super) fn creates(ends: &Ends<'_>, script: &mut Script) {
    let mut come: Vec<(&Name, &Relation)> =
        ends.come().filter(|(name, new)| new.extension.is_none() && !ends.skip.relation(name)).collect();
    come.sort_by_key(|(name, relation)| (depth(ends, relation), *name));
    for (name, relation) in &come {
        match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => table::create(ends, name, relation, script),
            RelationKind::Index | RelationKind::PartitionedIndex => index::create(ends, name, relation, script),
            RelationKind::Sequence => sequence::create(name, relation, script),
            RelationKind::View | RelationKind::MaterializedView => {}
            RelationKind::ForeignTable => {
                script.gap(format!("foreign table {name} has to be created again by hand"));
            }
        }
    }
    view::create_all(&come, script);
    for (name, relation) in come {
        attached(ends, name, None, relation, script);
    }
}

/// What an extension owns goes with it.
fn of_extension(ends: &Ends<'_>, relation: &Relation) -> bool {
    let owner = match &relation.index {
        Some(index) => ends.from.relations.get(&index.table).and_then(|table| table.extension.as_ref()),
        None => relation.extension.as_ref(),
    };
    owner.is_some()
}

fn depth(ends: &Ends<'_>, relation: &Relation) -> usize {
    relation
        .parents
        .iter()
        .filter_map(|parent| ends.to.relations.get(parent))
        .map(|parent| 1 + depth(ends, parent))
        .max()
        .unwrap_or(0)
}

/// Differences of a relation that stays.
pub(super) fn change(ends: &Ends<'_>, name: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    if old.kind != new.kind {
        script.gap(format!("{name} is another kind of relation"));
        return;
    }
    match old.kind {
        RelationKind::Sequence => sequence::change(name, old, new, script),
        RelationKind::View | RelationKind::MaterializedView => {
            if view::change(ends, name, old, new, script) {
                // Nothing that hung on the former one is left.
                return attached(ends, name, None, new, script);
            }
        }
        RelationKind::Index | RelationKind::PartitionedIndex => index::change(ends, name, old, new, script),
        _ => {
            table::membership(ends, name, old, new, script);
            column::change_all(ends, name, old, new, script);
            constraint::change_all(ends, name, old, new, script);
        }
    }
    facts(name, old, new, script);
    attached(ends, name, Some(old), new, script);
}

/// `ALTER TABLE`, `ALTER INDEX`, ... as the kind demands.
pub(super) fn alter(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "ALTER VIEW",
        RelationKind::MaterializedView => "ALTER MATERIALIZED VIEW",
        RelationKind::Index | RelationKind::PartitionedIndex => "ALTER INDEX",
        RelationKind::Sequence => "ALTER SEQUENCE",
        RelationKind::ForeignTable => "ALTER FOREIGN TABLE",
        RelationKind::Table | RelationKind::PartitionedTable => "ALTER TABLE",
    }
}

/// Storage parameters, persistence, place and the like.
fn facts(name: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    let alter = alter(new.kind);
    if old.options != new.options {
        let gone: Vec<&str> = old
            .options
            .iter()
            .filter_map(|option| option.split_once('=').map(|(key, _)| key))
            .filter(|key| !new.options.iter().any(|option| option.starts_with(&format!("{key}="))))
            .collect();
        if !gone.is_empty() {
            script.add(Phase::Facts, format!("{alter} {name} RESET ({})", gone.join(", ")));
        }
        let set: Vec<String> = new
            .options
            .iter()
            .filter(|option| !old.options.contains(option))
            .map(|option| option_text(option))
            .collect();
        if !set.is_empty() {
            script.add(Phase::Facts, format!("{alter} {name} SET ({})", set.join(", ")));
        }
    }
    // Indexes and owned sequences follow their table.
    let follows = new.kind.is_index() || new.sequence.as_ref().is_some_and(|facts| facts.owned_by.is_some());
    if old.persistence != new.persistence && !follows {
        let word = if new.persistence == crate::catalog::Persistence::Unlogged { "UNLOGGED" } else { "LOGGED" };
        script.add(Phase::Facts, format!("{alter} {name} SET {word}"));
    }
    if old.tablespace != new.tablespace {
        let space = if new.tablespace.is_empty() { "pg_default" } else { &new.tablespace };
        script.add(Phase::Facts, format!("{alter} {name} SET TABLESPACE {}", quote::ident(space)));
    }
    if old.access_method != new.access_method {
        let method = if new.access_method.is_empty() { "DEFAULT".to_owned() } else { quote::ident(&new.access_method) };
        script.add(Phase::Facts, format!("{alter} {name} SET ACCESS METHOD {method}"));
    }
    if old.of_type != new.of_type {
        match &new.of_type {
            Some(of) => script.add(Phase::Facts, format!("ALTER TABLE {name} OF {of}")),
            None => script.add(Phase::Facts, format!("ALTER TABLE {name} NOT OF")),
        }
    }
}

/// A storage parameter with its value quoted.
pub(super) fn option_text(option: &str) -> String {
    match option.split_once('=') {
        Some((key, value)) => format!("{key} = {}", quote::literal(value)),
        None => option.to_owned(),
    }
}

/// What hangs on a relation without being a part of it.
fn attached(ends: &Ends<'_>, name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    triggers(name, old, new, script);
    rules(name, old, new, script);
    policies(name, old, new, script);
    if new.kind.is_table() {
        row_security(name, old, new, script);
        replica_identity(name, old, new, script);
    }
    let kind = view::comment_kind(new.kind);
    if old.and_then(|old| old.comment.as_ref()) != new.comment.as_ref() {
        script.add(Phase::Facts, comment(kind, &name.to_string(), new.comment.as_deref()));
    }
    let owner = old.map_or(ends.from.server.user.as_str(), |old| old.owner.as_str());
    let own = !new.kind.is_index() && new.sequence.as_ref().is_none_or(|facts| facts.owned_by.is_none());
    if owner != new.owner && own {
        script.add(Phase::Facts, format!("{} {name} OWNER TO {}", alter(new.kind), quote::ident(&new.owner)));
    }
    if !new.kind.is_index() {
        privileges(ends, name, old, new, script);
    }
}

/// Those of the relation and of its columns.
fn privileges(ends: &Ends<'_>, name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    let (user, major) = (ends.from.server.user.as_str(), ends.to.server.major());
    let sequence = new.kind == RelationKind::Sequence;
    let kind = if sequence { 'S' } else { 'r' };
    // What the database gives to everything new.
    let given = || initial_privileges(ends.from, kind, &name.schema, user);
    let owner = old.map_or(user, |old| old.owner.as_str());
    let list = old.map_or_else(given, |old| old.privileges.clone());
    let target = format!("{} {name}", if sequence { "SEQUENCE" } else { "TABLE" });
    let object = acl::Object { prefix: "", target: &target, column: "", owner: &new.owner };
    let of = |list: &[String], kind: char| {
        let mut privileges = Privileges::of(list, kind, owner, major);
        privileges.change_owner(owner, &new.owner);
        privileges
    };
    let wanted = Privileges::of(&new.privileges, kind, &new.owner, major);
    let revoked = acl::change(&object, &of(&list, kind), &wanted, script);
    for column in &new.columns {
        let had = old.and_then(|old| old.column(&column.name)).map_or(&[][..], |had| &had.privileges);
        let before = acl::without(of(had, 'c'), &new.owner, &revoked);
        let wanted = Privileges::of(&column.privileges, 'c', &new.owner, major);
        let quoted = format!(" ({})", quote::ident(&column.name));
        acl::change(&acl::Object { column: &quoted, ..object }, &before, &wanted, script);
    }
}

/// `COMMENT ON`.
pub(super) fn comment(kind: &str, what: &str, text: Option<&str>) -> String {
    let text = text.map_or_else(|| "NULL".to_owned(), quote::literal);
    format!("COMMENT ON {kind} {what} IS {text}")
}

/// What may keep objects that go, on a relation that something else removes later: triggers a function, defaults a
/// sequence, a replaced view what only its newer query reads.
pub(super) fn release(ends: &Ends<'_>, name: &Name, old: &Relation, script: &mut Script) {
    let known = |catalog: &crate::catalog::Catalog, function: &Name| {
        catalog.functions.iter().any(|known| known.name == *function)
    };
    for trigger in old.triggers.iter().filter(|trigger| !trigger.from_parent) {
        if known(ends.from, &trigger.function) && !known(ends.to, &trigger.function) {
            script
                .add(Phase::DropAttached, format!("DROP TRIGGER IF EXISTS {} ON {name}", quote::ident(&trigger.name)));
        }
    }
    let query = |relation: &Relation| relation.view.as_ref().map(|view| view.definition.clone());
    if ends.to.relations.get(name).is_some_and(|new| query(new) != query(old)) {
        view::drop(name, old, script);
    }
    let goes =
        |relation: &Name| ends.from.relations.contains_key(relation) && !ends.to.relations.contains_key(relation);
    let holds_on = |column: &&Column| column.references.iter().any(|reference| goes(&reference.relation));
    for column in old.columns.iter().filter(|column| column.default.is_some()).filter(holds_on) {
        let column = quote::ident(&column.name);
        script.add(Phase::DropAttached, format!("ALTER TABLE {name} ALTER COLUMN {column} DROP DEFAULT"));
    }
}

fn triggers(name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    let known = old.map_or(&[][..], |old| &old.triggers);
    for trigger in known.iter().filter(|trigger| !trigger.from_parent) {
        let same = new.triggers.iter().any(|other| {
            other.name == trigger.name
                && other.definition == trigger.definition
                && other.from_parent == trigger.from_parent
        });
        if !same {
            script
                .add(Phase::DropAttached, format!("DROP TRIGGER IF EXISTS {} ON {name}", quote::ident(&trigger.name)));
        }
    }
    for trigger in new.triggers.iter().filter(|trigger| !trigger.from_parent) {
        let before = known.iter().find(|other| other.name == trigger.name);
        let same = before.is_some_and(|before| before.definition == trigger.definition);
        let quoted = quote::ident(&trigger.name);
        if !same {
            script.add(Phase::Attach, trigger.definition.clone());
        }
        let enabled = if same { before.map_or('O', |before| before.enabled) } else { 'O' };
        if enabled != trigger.enabled {
            let word = match trigger.enabled {
                'D' => "DISABLE TRIGGER",
                'R' => "ENABLE REPLICA TRIGGER",
                'A' => "ENABLE ALWAYS TRIGGER",
                _ => "ENABLE TRIGGER",
            };
            script.add(Phase::Facts, format!("ALTER TABLE {name} {word} {quoted}"));
        }
        let said = before.filter(|_| same).and_then(|before| before.comment.as_ref());
        if said != trigger.comment.as_ref() {
            script.add(Phase::Facts, comment("TRIGGER", &format!("{quoted} ON {name}"), trigger.comment.as_deref()));
        }
    }
}

fn rules(name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    let known = old.map_or(&[][..], |old| &old.rules);
    for rule in known {
        if !new.rules.iter().any(|other| other.name == rule.name) {
            script.add(Phase::DropAttached, format!("DROP RULE IF EXISTS {} ON {name}", quote::ident(&rule.name)));
        }
    }
    for rule in &new.rules {
        let before = known.iter().find(|other| other.name == rule.name);
        if before.is_none_or(|before| before.definition != rule.definition) {
            script.add(Phase::Attach, rule.definition.replacen("CREATE RULE", "CREATE OR REPLACE RULE", 1));
        }
        if before.map_or('O', |before| before.enabled) != rule.enabled {
            let word = match rule.enabled {
                'D' => "DISABLE RULE",
                'R' => "ENABLE REPLICA RULE",
                'A' => "ENABLE ALWAYS RULE",
                _ => "ENABLE RULE",
            };
            script.add(Phase::Facts, format!("ALTER TABLE {name} {word} {}", quote::ident(&rule.name)));
        }
        if before.and_then(|before| before.comment.as_ref()) != rule.comment.as_ref() {
            let what = format!("{} ON {name}", quote::ident(&rule.name));
            script.add(Phase::Facts, comment("RULE", &what, rule.comment.as_deref()));
        }
    }
}

fn policies(name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    let known = old.map_or(&[][..], |old| &old.policies);
    for policy in known.iter().filter(|policy| !new.policies.contains(policy)) {
        script.add(Phase::DropAttached, format!("DROP POLICY IF EXISTS {} ON {name}", quote::ident(&policy.name)));
    }
    for policy in new.policies.iter().filter(|policy| !known.contains(policy)) {
        let quoted = quote::ident(&policy.name);
        let kind = if policy.permissive { "PERMISSIVE" } else { "RESTRICTIVE" };
        let command = match policy.command {
            'r' => "SELECT",
            'a' => "INSERT",
            'w' => "UPDATE",
            'd' => "DELETE",
            _ => "ALL",
        };
        let roles: Vec<String> = policy.roles.iter().map(|role| acl::role(role)).collect();
        let roles = if roles.is_empty() { "PUBLIC".to_owned() } else { roles.join(", ") };
        let using = policy.using.as_ref().map_or_else(String::new, |using| format!(" USING ({using})"));
        let check = policy.with_check.as_ref().map_or_else(String::new, |check| format!(" WITH CHECK ({check})"));
        script.add(
            Phase::Attach,
            format!("CREATE POLICY {quoted} ON {name} AS {kind} FOR {command} TO {roles}{using}{check}"),
        );
        if policy.comment.is_some() {
            script.add(Phase::Facts, comment("POLICY", &format!("{quoted} ON {name}"), policy.comment.as_deref()));
        }
    }
}

fn row_security(name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    if old.is_some_and(|old| old.row_security) != new.row_security {
        let word = if new.row_security { "ENABLE" } else { "DISABLE" };
        script.add(Phase::Facts, format!("ALTER TABLE {name} {word} ROW LEVEL SECURITY"));
    }
    if old.is_some_and(|old| old.force_row_security) != new.force_row_security {
        let word = if new.force_row_security { "FORCE" } else { "NO FORCE" };
        script.add(Phase::Facts, format!("ALTER TABLE {name} {word} ROW LEVEL SECURITY"));
    }
}

fn replica_identity(name: &Name, old: Option<&Relation>, new: &Relation, script: &mut Script) {
    let before = old.map_or(&ReplicaIdentity::Default, |old| &old.replica_identity);
    if before != &new.replica_identity {
        let what = match &new.replica_identity {
            ReplicaIdentity::Default => "DEFAULT".to_owned(),
            ReplicaIdentity::Nothing => "NOTHING".to_owned(),
            ReplicaIdentity::Full => "FULL".to_owned(),
            ReplicaIdentity::Index(index) => format!("USING INDEX {}", quote::ident(index)),
        };
        script.add(Phase::Facts, format!("ALTER TABLE {name} REPLICA IDENTITY {what}"));
    }
}
