//! Views and materialized views.

use std::collections::BTreeSet;

use super::{Ends, Phase, Script, column, relation};
use crate::catalog::{Catalog, Name, Relation, RelationKind};
use crate::sql::quote;

/// A view that goes.
pub(super) fn drop(name: &Name, relation: &Relation, script: &mut Script) {
    let kind = comment_kind(relation.kind);
    // Views on it that go as well go with it; one that stays would have kept the server from dropping it.
    script.add(Phase::DropView, format!("DROP {kind} IF EXISTS {name} CASCADE"));
}

/// The views among `come`, each after those that it reads.
pub(super) fn create_all(come: &[(&Name, &Relation)], script: &mut Script) {
    let mut left: Vec<(&Name, &Relation)> =
        come.iter().copied().filter(|(_, relation)| relation.view.is_some()).collect();
    let mut missing: BTreeSet<&Name> = left.iter().map(|(name, _)| *name).collect();
    while !left.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(|&(name, relation)| {
            relation.view.as_ref().is_none_or(|view| {
                view.references
                    .iter()
                    .all(|reference| reference.relation == *name || !missing.contains(&reference.relation))
            })
        });
        if ready.is_empty() {
            script.gap("views that read each other have to be created again by hand");
            return;
        }
        for (name, relation) in ready {
            missing.remove(name);
            create(name, relation, script);
        }
        left = waiting;
    }
}

fn create(name: &Name, relation: &Relation, script: &mut Script) {
    let Some(view) = &relation.view else {
        return;
    };
    let body = view.definition.trim_end().trim_end_matches(';');
    let with = with_options(relation);
    if relation.kind == RelationKind::View {
        script.add(Phase::CreateView, format!("CREATE VIEW {name}{with} AS{body}", body = spaced(body)));
    } else {
        let data = if view.populated { "" } else { " WITH NO DATA" };
        script.add(Phase::CreateView, format!("CREATE MATERIALIZED VIEW {name}{with} AS{}{data}", spaced(body)));
    }
    for known in &relation.columns {
        if let Some(default) = &known.default {
            let quoted = quote::ident(&known.name);
            script.add(Phase::Facts, format!("ALTER VIEW {name} ALTER COLUMN {quoted} SET DEFAULT {default}"));
        }
        let mut plain = known.clone();
        (plain.storage, plain.compression) = (None, None);
        column::details(name, None, &plain, script);
    }
}

fn with_options(relation: &Relation) -> String {
    let options: Vec<String> = relation.options.iter().map(|option| relation::option_text(option)).collect();
    if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) }
}

fn spaced(body: &str) -> String {
    if body.starts_with(char::is_whitespace) { body.to_owned() } else { format!(" {body}") }
}

/// Differences of a view that stays. True when it has to be made anew, and has lost what hung on it.
pub(super) fn change(ends: &Ends<'_>, name: &Name, old: &Relation, new: &Relation, script: &mut Script) -> bool {
    let (Some(before), Some(view)) = (&old.view, &new.view) else {
        return false;
    };
    if before.definition != view.definition {
        let body = spaced(view.definition.trim_end().trim_end_matches(';'));
        if replaceable(old, new) {
            // Options that are not written again are gone.
            let with = with_options(new);
            script.add(Phase::CreateView, format!("CREATE OR REPLACE VIEW {name}{with} AS{body}"));
        } else if dependents(ends.from, name) {
            script.gap(format!("view {name} had other columns, and other views read it"));
        } else {
            script.add(Phase::DropView, format!("DROP {} IF EXISTS {name}", comment_kind(new.kind)));
            create(name, new, script);
            return true;
        }
        return false;
    }
    for column in &new.columns {
        let known = old.column(&column.name).and_then(|known| known.default.as_ref());
        if known != column.default.as_ref() {
            let column_name = quote::ident(&column.name);
            let what =
                column.default.as_ref().map_or_else(|| "DROP DEFAULT".to_owned(), |text| format!("SET DEFAULT {text}"));
            script.add(Phase::Facts, format!("ALTER VIEW {name} ALTER COLUMN {column_name} {what}"));
        }
        if old.column(&column.name).and_then(|known| known.comment.as_ref()) != column.comment.as_ref() {
            let what = format!("{name}.{}", quote::ident(&column.name));
            script.add(Phase::Facts, relation::comment("COLUMN", &what, column.comment.as_deref()));
        }
    }
    if before.populated != view.populated {
        let data = if view.populated { "" } else { " WITH NO DATA" };
        script.add(Phase::Facts, format!("REFRESH MATERIALIZED VIEW {name}{data}"));
    }
    false
}

/// Whether `CREATE OR REPLACE` makes the one of the other: columns come at the end only.
fn replaceable(old: &Relation, new: &Relation) -> bool {
    let shape = |relation: &Relation| -> Vec<(String, String)> {
        relation.columns.iter().map(|column| (column.name.clone(), column.data_type.sql.clone())).collect()
    };
    new.kind == RelationKind::View && shape(new).starts_with(&shape(old))
}

/// Whether a view has to be made anew while others read it.
pub(super) fn stands_in_the_way(from: &Catalog, name: &Name, old: &Relation, new: &Relation) -> bool {
    let (Some(before), Some(view)) = (&old.view, &new.view) else { return false };
    old.kind == new.kind && before.definition != view.definition && !replaceable(old, new) && dependents(from, name)
}

fn dependents(from: &Catalog, name: &Name) -> bool {
    from.relations.referring_to(name).any(|(other, relation)| {
        other != name
            && relation
                .view
                .as_ref()
                .is_some_and(|view| view.references.iter().any(|reference| reference.relation == *name))
    })
}

/// The word for the kind in `DROP` and `COMMENT ON`.
pub(super) fn comment_kind(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "VIEW",
        RelationKind::MaterializedView => "MATERIALIZED VIEW",
        RelationKind::Index | RelationKind::PartitionedIndex => "INDEX",
        RelationKind::Sequence => "SEQUENCE",
        RelationKind::ForeignTable => "FOREIGN TABLE",
        RelationKind::Table | RelationKind::PartitionedTable => "TABLE",
    }
}
