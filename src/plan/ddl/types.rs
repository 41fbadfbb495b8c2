//! Schemas, types, and what else is no relation.

use super::{Ends, Phase, Script, acl, relation};
use crate::catalog::apply::{Privileges, initial_privileges};
use crate::catalog::{Column, DataType, DefaultPrivileges, Name, Publication, TypeKind, UserType};
use crate::sql::quote;

/// Schemas that go, come or change.
pub(super) fn schemas(ends: &Ends<'_>, script: &mut Script) {
    for (name, schema) in &ends.from.schemas {
        let quoted = quote::ident(name);
        let Some(new) = ends.to.schemas.get(name) else {
            script.add(Phase::DropSchema, format!("DROP SCHEMA IF EXISTS {quoted}"));
            continue;
        };
        if schema.owner != new.owner {
            script.add(Phase::Facts, format!("ALTER SCHEMA {quoted} OWNER TO {}", quote::ident(&new.owner)));
        }
        if schema.comment != new.comment {
            script.add(Phase::Facts, relation::comment("SCHEMA", &quoted, new.comment.as_deref()));
        }
        let old = (schema.owner.as_str(), &schema.privileges[..]);
        privileges(ends, ('n', &format!("SCHEMA {quoted}")), old, (&new.owner, &new.privileges), script);
    }
    for (name, schema) in ends.to.schemas.iter().filter(|(name, _)| !ends.from.schemas.contains_key(*name)) {
        let quoted = quote::ident(name);
        script.add(Phase::CreateSchema, format!("CREATE SCHEMA {quoted}"));
        if schema.owner != ends.from.server.user {
            script.add(Phase::Facts, format!("ALTER SCHEMA {quoted} OWNER TO {}", quote::ident(&schema.owner)));
        }
        if schema.comment.is_some() {
            script.add(Phase::Facts, relation::comment("SCHEMA", &quoted, schema.comment.as_deref()));
        }
        let given = initial_privileges(ends.from, 'n', "", &ends.from.server.user);
        let old = (ends.from.server.user.as_str(), &given[..]);
        privileges(ends, ('n', &format!("SCHEMA {quoted}")), old, (&schema.owner, &schema.privileges), script);
    }
}

/// A type with its name.
type Named<'a> = (&'a Name, &'a UserType);

/// Types that change, and the facts of those that come. The types that go and those that come.
pub(super) fn types<'a>(ends: &Ends<'a>, script: &mut Script) -> (Vec<Named<'a>>, Vec<Named<'a>>) {
    let mut gone = Vec::new();
    for (name, known) in ends.from.types.iter().filter(|(_, known)| known.extension.is_none()) {
        match ends.to.types.get(name) {
            None => gone.push((name, known)),
            Some(new) if new != known && !ends.skip.user_type(name) => change(ends, name, known, new, script),
            Some(_) => {}
        }
    }
    let come =
        ends.to.types.iter().filter(|(name, new)| !ends.from.types.contains_key(*name) && new.extension.is_none());
    let come: Vec<_> = come.collect();
    for (name, new) in &come {
        let word = word(new);
        if new.comment.is_some() {
            script.add(Phase::Facts, relation::comment(word, &name.to_string(), new.comment.as_deref()));
        }
        if new.owner != ends.from.server.user {
            script.add(Phase::Facts, format!("ALTER {word} {name} OWNER TO {}", quote::ident(&new.owner)));
        }
        let given = initial_privileges(ends.from, 'T', &name.schema, &ends.from.server.user);
        let old = (ends.from.server.user.as_str(), &given[..]);
        privileges(ends, ('T', &format!("{word} {name}")), old, (&new.owner, &new.privileges), script);
    }
    (gone, come)
}

fn word(known: &UserType) -> &'static str {
    if matches!(known.kind, TypeKind::Domain { .. }) { "DOMAIN" } else { "TYPE" }
}

/// The statement that drops the type.
pub(super) fn drop(name: &Name, known: &UserType) -> String {
    format!("DROP {} IF EXISTS {name}", word(known))
}

/// Whether columns have the type that become columns of another one.
pub(super) fn is_left_by_columns(ends: &Ends<'_>, name: &Name) -> bool {
    ends.from.relations.referring_to(name).any(|(table, old)| {
        let stays = |column: &&Column| {
            ends.to.relations.get(table).is_some_and(|relation| relation.column(&column.name).is_some())
        };
        old.columns.iter().filter(|column| column.data_type.name == *name).any(|column| stays(&column))
    })
}

/// GRANT and REVOKE on what is no relation. `object` is its kind among privileges, and how statements name it; `old` and
/// `new` are its owner and its list.
pub(super) fn privileges(
    ends: &Ends<'_>,
    (kind, target): (char, &str),
    old: (&str, &[String]),
    new: (&str, &[String]),
    script: &mut Script,
) {
    let major = ends.to.server.major();
    let mut before = Privileges::of(old.1, kind, old.0, major);
    before.change_owner(old.0, new.0);
    let object = acl::Object { prefix: "", target, column: "", owner: new.0 };
    acl::change(&object, &before, &Privileges::of(new.1, kind, new.0, major), script);
}

/// The statements that make the type.
pub(super) fn create(name: &Name, new: &UserType, script: &mut Script) {
    match &new.kind {
        TypeKind::Enum { labels } => {
            let labels: Vec<String> = labels.iter().map(|label| quote::literal(label)).collect();
            script.add(Phase::CreateType, format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", ")));
        }
        TypeKind::Domain { base, not_null, default, constraints, collation } => {
            script.add(Phase::CreateType, domain(name, base, *not_null, default.as_deref(), collation.as_deref()));
            for constraint in constraints.iter().filter(|constraint| !constraint.definition.starts_with("NOT NULL")) {
                script.add(
                    Phase::CreateType,
                    format!(
                        "ALTER DOMAIN {name} ADD CONSTRAINT {} {}",
                        quote::ident(&constraint.name),
                        constraint.definition
                    ),
                );
            }
        }
        TypeKind::Composite { attributes } => {
            let list: Vec<String> = attributes
                .iter()
                .map(|attribute| format!("{} {}", quote::ident(&attribute.name), attribute.data_type.sql))
                .collect();
            script.add(Phase::CreateType, format!("CREATE TYPE {name} AS ({})", list.join(", ")));
        }
        TypeKind::Range { .. } | TypeKind::Base => {
            script.gap(format!("type {name} has to be created again by hand"));
        }
    }
}

fn domain(name: &Name, base: &DataType, not_null: bool, default: Option<&str>, collation: Option<&str>) -> String {
    let collation = collation
        .map_or_else(String::new, |collation| format!(" COLLATE {}", super::column::collation_name(collation)));
    let default = default.map_or_else(String::new, |default| format!(" DEFAULT {default}"));
    let not_null = if not_null { " NOT NULL" } else { "" };
    format!("CREATE DOMAIN {name} AS {}{collation}{default}{not_null}", base.sql)
}

fn change(ends: &Ends<'_>, name: &Name, old: &UserType, new: &UserType, script: &mut Script) {
    let is_domain = matches!(new.kind, TypeKind::Domain { .. });
    let word = if is_domain { "DOMAIN" } else { "TYPE" };
    if old.owner != new.owner {
        script.add(Phase::Facts, format!("ALTER {word} {name} OWNER TO {}", quote::ident(&new.owner)));
    }
    if old.comment != new.comment {
        script.add(Phase::Facts, relation::comment(word, &name.to_string(), new.comment.as_deref()));
    }
    let had = (old.owner.as_str(), &old.privileges[..]);
    privileges(ends, ('T', &format!("{word} {name}")), had, (&new.owner, &new.privileges), script);
    match (&old.kind, &new.kind) {
        (one, other) if one == other => {}
        (TypeKind::Enum { labels: had }, TypeKind::Enum { labels: want }) => labels(name, had, want, script),
        (
            TypeKind::Domain { not_null: had, default: had_default, constraints: had_constraints, .. },
            TypeKind::Domain { not_null, default, constraints, .. },
        ) => {
            if had != not_null {
                let verb = if *not_null { "SET" } else { "DROP" };
                script.add(Phase::Facts, format!("ALTER DOMAIN {name} {verb} NOT NULL"));
            }
            if had_default != default {
                let what =
                    default.as_ref().map_or_else(|| "DROP DEFAULT".to_owned(), |text| format!("SET DEFAULT {text}"));
                script.add(Phase::Facts, format!("ALTER DOMAIN {name} {what}"));
            }
            let is_check =
                |constraint: &&crate::catalog::DomainConstraint| !constraint.definition.starts_with("NOT NULL");
            for gone in had_constraints.iter().filter(is_check).filter(|known| !constraints.contains(known)) {
                script.add(
                    Phase::DropConstraint,
                    format!("ALTER DOMAIN {name} DROP CONSTRAINT IF EXISTS {}", quote::ident(&gone.name)),
                );
            }
            for come in constraints.iter().filter(is_check).filter(|wanted| !had_constraints.contains(wanted)) {
                script.add(
                    Phase::Constraint,
                    format!("ALTER DOMAIN {name} ADD CONSTRAINT {} {}", quote::ident(&come.name), come.definition),
                );
            }
        }
        (TypeKind::Composite { attributes: had }, TypeKind::Composite { attributes: want }) => {
            for attribute in had.iter().filter(|known| !want.iter().any(|other| other.name == known.name)) {
                script.add(
                    Phase::Facts,
                    format!("ALTER TYPE {name} DROP ATTRIBUTE IF EXISTS {} CASCADE", quote::ident(&attribute.name)),
                );
            }
            attributes(name, had, want, script);
        }
        _ => script.gap(format!("type {name} was another kind of type")),
    }
}

/// Attributes that come back stand last; where they did not, rows of the type would change their meaning.
fn attributes(name: &Name, had: &[Column], want: &[Column], script: &mut Script) {
    let kept: Vec<&String> =
        had.iter().map(|known| &known.name).filter(|known| want.iter().any(|other| &other.name == *known)).collect();
    if !want.iter().map(|wanted| &wanted.name).zip(&kept).all(|(wanted, known)| wanted == *known) {
        script.gap(format!("type {name} had other attributes between those that are left"));
        return;
    }
    for wanted in want {
        let quoted = quote::ident(&wanted.name);
        match had.iter().find(|known| known.name == wanted.name) {
            None => {
                let data_type = &wanted.data_type.sql;
                script.add(Phase::Facts, format!("ALTER TYPE {name} ADD ATTRIBUTE {quoted} {data_type} CASCADE"));
                script.lose(format!("the values of attribute {quoted} of type {name}"));
            }
            Some(known) if known.data_type != wanted.data_type => script.add(
                Phase::Facts,
                format!("ALTER TYPE {name} ALTER ATTRIBUTE {quoted} TYPE {} CASCADE", wanted.data_type.sql),
            ),
            Some(_) => {}
        }
    }
}

/// Renamed labels are renamed back; an added one stays.
fn labels(name: &Name, had: &[String], want: &[String], script: &mut Script) {
    let renamed: Vec<(&String, &String)> = had.iter().zip(want).filter(|(old, new)| old != new).collect();
    // Names that others have had would have to go round in a circle.
    let apart = renamed.iter().all(|(old, new)| !want.contains(old) && !had.contains(new));
    if had.len() != want.len() || !apart {
        script.gap(format!("PostgreSQL cannot remove a value from enum type {name}"));
        return;
    }
    for (old, new) in renamed {
        // Before the defaults and conditions that name it.
        let (old, new) = (quote::literal(old), quote::literal(new));
        script.add(Phase::ClearTheWay, format!("ALTER TYPE {name} RENAME VALUE {old} TO {new}"));
    }
}

/// Publications, extensions, event triggers, statistics objects.
pub(super) fn others(ends: &Ends<'_>, script: &mut Script) {
    for (name, known) in &ends.from.statistics {
        if ends.to.statistics.get(name) != Some(known) && !ends.skip.relation(&known.table) {
            script.add(Phase::DropIndex, format!("DROP STATISTICS IF EXISTS {name}"));
        }
    }
    for (name, new) in &ends.to.statistics {
        if ends.from.statistics.get(name) != Some(new) {
            script.add(Phase::Facts, new.definition.clone());
            if let Some(target) = new.statistics_target {
                script.add(Phase::Facts, format!("ALTER STATISTICS {name} SET STATISTICS {target}"));
            }
            if new.comment.is_some() {
                let comment = relation::comment("STATISTICS", &name.to_string(), new.comment.as_deref());
                script.add(Phase::Facts, comment);
            }
        }
    }
    let gone = ends.from.extensions.keys().filter(|name| !ends.to.extensions.contains_key(*name));
    let gone: Vec<String> = gone.map(|name| quote::ident(name)).collect();
    if !gone.is_empty() {
        // Together: one may need another.
        script.add(Phase::DropSchema, format!("DROP EXTENSION IF EXISTS {}", gone.join(", ")));
    }
    for name in ends.to.extensions.keys().filter(|name| !ends.from.extensions.contains_key(*name)) {
        script.gap(format!("extension {} has to be installed again by hand", quote::ident(name)));
    }
    for name in ends.from.publications.keys().filter(|name| !ends.to.publications.contains_key(*name)) {
        script.add(Phase::DropAttached, format!("DROP PUBLICATION IF EXISTS {}", quote::ident(name)));
    }
    for (name, publication) in &ends.to.publications {
        match ends.from.publications.get(name) {
            Some(known) if known == publication => {}
            known => self::publication(name, known, publication, script),
        }
    }
    if ends.from.subscriptions != ends.to.subscriptions {
        script.gap("subscriptions were others");
    }
    default_privileges(ends, script);
    for name in ends.from.event_triggers.keys().filter(|name| !ends.to.event_triggers.contains_key(*name)) {
        script.add(Phase::DropAttached, format!("DROP EVENT TRIGGER IF EXISTS {}", quote::ident(name)));
    }
    for (name, trigger) in &ends.to.event_triggers {
        if ends.from.event_triggers.get(name) != Some(trigger) {
            script.gap(format!("event trigger {} was another", quote::ident(name)));
        }
    }
    casts(ends, script);
}

/// Casts that go or come.
fn casts(ends: &Ends<'_>, script: &mut Script) {
    if ends.from.casts == ends.to.casts {
        return;
    }
    // One of an extension goes with its type.
    let with_extension = |name: &Name| {
        ends.from.types.get(name).is_some_and(|known| known.extension.is_some()) && !ends.to.types.contains_key(name)
    };
    for cast in ends.from.casts.iter().filter(|cast| !ends.to.casts.contains(cast)) {
        if !with_extension(&cast.source) && !with_extension(&cast.target) {
            script.add(Phase::DropAttached, format!("DROP CAST IF EXISTS ({} AS {})", cast.source, cast.target));
        }
    }
    for cast in ends.to.casts.iter().filter(|cast| !ends.from.casts.contains(cast)) {
        let how = match cast.method {
            'i' => "WITH INOUT",
            'b' => "WITHOUT FUNCTION",
            // Its function is not in the catalog.
            _ => return script.gap(format!("the cast from {} to {} was another", cast.source, cast.target)),
        };
        let when = match cast.context {
            'i' => " AS IMPLICIT",
            'a' => " AS ASSIGNMENT",
            _ => "",
        };
        script.add(Phase::Facts, format!("CREATE CAST ({} AS {}) {how}{when}", cast.source, cast.target));
    }
}

/// Tables and schemas that go or come. Column lists, row filters and options are not told apart in the catalog.
fn publication(name: &str, old: Option<&Publication>, new: &Publication, script: &mut Script) {
    let quoted = quote::ident(name);
    let lists =
        |publication: &Publication| Publication { tables: Vec::new(), schemas: Vec::new(), ..publication.clone() };
    let Some(old) = old.filter(|old| lists(old) == lists(new) && new.columns.is_empty()) else {
        script.gap(format!("publication {quoted} was another"));
        return;
    };
    for table in old.tables.iter().filter(|table| !new.tables.contains(table)) {
        script.add(Phase::Facts, format!("ALTER PUBLICATION {quoted} DROP TABLE {table}"));
    }
    for table in new.tables.iter().filter(|table| !old.tables.contains(table)) {
        script.add(Phase::Facts, format!("ALTER PUBLICATION {quoted} ADD TABLE {table}"));
    }
    for schema in old.schemas.iter().filter(|schema| !new.schemas.contains(schema)) {
        script.add(Phase::Facts, format!("ALTER PUBLICATION {quoted} DROP TABLES IN SCHEMA {}", quote::ident(schema)));
    }
    for schema in new.schemas.iter().filter(|schema| !old.schemas.contains(schema)) {
        script.add(Phase::Facts, format!("ALTER PUBLICATION {quoted} ADD TABLES IN SCHEMA {}", quote::ident(schema)));
    }
}

fn default_privileges(ends: &Ends<'_>, script: &mut Script) {
    let key = |entry: &DefaultPrivileges| (entry.role.clone(), entry.schema.clone(), entry.object);
    let all = ends.from.default_privileges.iter().chain(&ends.to.default_privileges);
    let mut keys: Vec<_> = all.map(key).collect();
    keys.sort();
    keys.dedup();
    for (role, schema, object) in keys {
        let of = |list: &[DefaultPrivileges]| -> Vec<String> {
            let found = list.iter().find(|entry| key(entry) == (role.clone(), schema.clone(), object));
            found.map_or_else(Vec::new, |entry| entry.privileges.clone())
        };
        let target = match object {
            'S' => "SEQUENCES",
            'f' => "FUNCTIONS",
            'T' => "TYPES",
            'n' => "SCHEMAS",
            'L' => "LARGE OBJECTS",
            _ => "TABLES",
        };
        let within = schema.as_ref().map_or_else(String::new, |schema| format!("IN SCHEMA {} ", quote::ident(schema)));
        let prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} {within}", quote::ident(&role));
        // For one schema they are added to nothing, which is what a column has.
        let kind = if schema.is_some() { 'c' } else { object };
        let list = |entries: &[DefaultPrivileges]| Privileges::of(&of(entries), kind, &role, ends.to.server.major());
        let (old, new) = (list(&ends.from.default_privileges), list(&ends.to.default_privileges));
        acl::change(&acl::Object { prefix: &prefix, target, column: "", owner: &role }, &old, &new, script);
    }
}
