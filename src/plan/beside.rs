//! Statements of the author that take away what stands in the way of a change of type, and those that make it again
//! behind it. As steps of their own they would leave applications without it while the change goes on.

use std::ops::Range;

use pg_query::NodeEnum;

use super::around::retyped;
use super::author::Authored;
use super::obstacles::{apply_to, on_columns};
use crate::catalog::{Catalog, Relation};

/// Such statements, as positions in the author's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bracket {
    /// Before the changes.
    pub drops: Range<usize>,
    /// The last of the changes: the others need what is there made again in its old form.
    pub change: usize,
    /// Behind the changes.
    pub creates: Range<usize>,
}

impl Bracket {
    /// Whether the statement runs in the transaction of the change.
    pub fn takes(&self, position: usize) -> bool {
        self.drops.contains(&position) || self.creates.contains(&position)
    }
}

/// The brackets, in their order.
pub(super) fn brackets(authored: &[Authored<'_>], spans: &[Option<usize>], catalog: &Catalog) -> Vec<Bracket> {
    let mut found = Vec::new();
    let mut now = catalog.clone();
    let mut at = 0;
    while let Some(statement) = authored.get(at) {
        if let Some(bracket) = bracket(authored, spans, &now, at) {
            for inside in authored.get(at..bracket.creates.end).unwrap_or_default() {
                let _ = apply_to(&mut now, inside.statement);
            }
            at = bracket.creates.end;
            found.push(bracket);
        } else {
            statement.settings.enter(&mut now);
            let _ = apply_to(&mut now, statement.statement);
            now.server = catalog.server.clone();
            at += 1;
        }
    }
    found
}

/// The bracket that begins there.
fn bracket(authored: &[Authored<'_>], spans: &[Option<usize>], before: &Catalog, start: usize) -> Option<Bracket> {
    let node = |at: usize| authored.get(at).map(|authored| &authored.statement.node);
    let plain = |at: usize| {
        let own = authored.get(at).is_some_and(|authored| authored.settings.is_empty());
        own && spans.get(at).is_none_or(Option::is_none)
    };
    // Looked at without the catalog first: there may be hundreds of drops, and each may begin one.
    let behind = (start..authored.len()).find(|at| !matches!(node(*at), Some(NodeEnum::DropStmt(_))))?;
    if behind == start || !matches!(node(behind), Some(NodeEnum::AlterTableStmt(_))) {
        return None;
    }
    let mut now = before.clone();
    let mut at = start;
    while matches!(node(at), Some(NodeEnum::DropStmt(_))) && plain(at) && step_beside(&mut now, authored.get(at)?) {
        at += 1;
    }
    let drops = start..at;
    let mut in_the_way = false;
    while let Some(NodeEnum::AlterTableStmt(_)) = node(at).filter(|_| plain(at)) {
        let statement = authored.get(at)?.statement;
        in_the_way |= !on_columns(before, &retyped(statement, before)).obstacles.is_empty();
        if apply_to(&mut now, statement).is_err() {
            break;
        }
        at += 1;
    }
    let change = at.checked_sub(1).filter(|change| *change >= drops.end)?;
    if drops.is_empty() || !in_the_way || retyped(authored.get(change)?.statement, before).is_empty() {
        return None;
    }
    let end = at;
    while at < authored.len() && plain(at) && step_beside(&mut now, authored.get(at)?) {
        at += 1;
    }
    Some(Bracket { drops, change, creates: end..at })
}

/// Moves the catalog behind the statement, if that changes nothing but views, rules, policies and triggers.
fn step_beside(catalog: &mut Catalog, authored: &Authored<'_>) -> bool {
    if authored.run.is_some() {
        return false;
    }
    let mut after = catalog.clone();
    let fits = apply_to(&mut after, authored.statement).is_ok() && only_beside(catalog, &after);
    if fits {
        *catalog = after;
    }
    fits
}

fn only_beside(before: &Catalog, after: &Catalog) -> bool {
    let is_view = |catalog: &Catalog, relation: &Relation| {
        let of_view = relation.index.as_ref().and_then(|index| catalog.relations.get(&index.table));
        relation.view.is_some() || of_view.is_some_and(|table| table.view.is_some())
    };
    let bare = |relation: &Relation| {
        let mut bare = relation.clone();
        (bare.triggers, bare.rules, bare.policies) = Default::default();
        bare
    };
    let mut relations = before.relations.differences(&after.relations);
    let fits = relations.all(|(_, old, new)| match (old, new) {
        (Some(old), Some(new)) => old == new || is_view(before, old) || bare(old) == bare(new),
        (Some(old), None) => is_view(before, old),
        (None, new) => new.is_none_or(|new| is_view(after, new)),
    });
    let rest = |catalog: &Catalog| Catalog { relations: crate::catalog::Relations::new(), ..catalog.clone() };
    fits && rest(before) == rest(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::apply::apply;
    use crate::plan::{Source, author};
    use crate::sql::parse;

    fn found(text: &str) -> Vec<Bracket> {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        catalog.schemas.insert("public".to_owned(), crate::catalog::Schema::default());
        let setup = "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT b FROM t";
        for statement in parse(setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        let statements = parse(text).unwrap();
        let (authored, _) = author::read(Source::of(&statements), &catalog).unwrap();
        let spans = vec![None; authored.len()];
        brackets(&authored, &spans, &catalog)
    }

    #[test]
    fn takes_what_belongs_around_a_change_and_no_more() {
        let bracket = |drops, change, creates| vec![Bracket { drops, change, creates }];
        for (text, expected) in [
            (
                "CREATE TABLE u (); DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; CREATE VIEW v AS SELECT a FROM t;
                 GRANT SELECT ON v TO PUBLIC; COMMENT ON TABLE t IS 'x'",
                bracket(1..2, 2, 3..5),
            ),
            (
                "DROP VIEW v; DROP VIEW w; ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t ALTER b TYPE bigint",
                bracket(0..2, 3, 4..4),
            ),
            // Nothing of it is in the way.
            ("DROP VIEW w; ALTER TABLE t ALTER a TYPE bigint; CREATE VIEW w AS SELECT b FROM t", vec![]),
            ("DROP VIEW v; ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT a FROM t", vec![]),
            // Settings of the author would have to be made around each.
            (
                "SET search_path = public; DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; CREATE VIEW v AS SELECT 1",
                vec![],
            ),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
