//! Statements that need one transaction. Temporary tables belong to a session, and a run may go on in another one:
//! everything from the statement that makes one to the last that names it stays together. So does what follows
//! `SET CONSTRAINTS`, to the last change of rows.

use pg_query::NodeEnum;
use pg_query::protobuf::RangeVar;

use super::analyze::{TransactionRule, analyze};
use super::author::Authored;
use super::postpone::changes_rows;
use crate::catalog::Catalog;
use crate::sql::render;

/// For each statement the number of the span that it belongs to, if any. There are no spans when a statement in one
/// cannot run in a transaction.
pub(super) fn spans(authored: &[Authored<'_>], catalog: &Catalog) -> Vec<Option<usize>> {
    let mut spans: Vec<Option<usize>> = vec![None; authored.len()];
    let mut open: Option<(usize, usize)> = None;
    for (at, statement) in authored.iter().enumerate() {
        if let Some(last) = last_of_span(authored, at, &statement.statement.node) {
            open = match open {
                Some((start, end)) if at <= end => Some((start, end.max(last))),
                _ if last > at => Some((at, last)),
                _ => None,
            };
        }
        match open {
            Some((start, end)) if at <= end => spans[at] = Some(start),
            _ => {}
        }
    }
    let fits = |(at, span): (usize, &Option<usize>)| {
        span.is_none() || analyze(authored[at].statement, catalog).transaction != TransactionRule::Forbidden
    };
    if spans.iter().enumerate().all(fits) { spans } else { vec![None; authored.len()] }
}

/// The last statement that needs the transaction of the one at `at`; `None` when that needs no company.
fn last_of_span(authored: &[Authored<'_>], at: usize, node: &NodeEnum) -> Option<usize> {
    let last = |wanted: &dyn Fn(&NodeEnum) -> bool| authored.iter().rposition(|other| wanted(&other.statement.node));
    if matches!(node, NodeEnum::ConstraintsSetStmt(_)) {
        return last(&changes_rows).filter(|last| *last > at);
    }
    let name = created(node)?;
    Some(last(&|node| render::strings(node).iter().any(|text| text.contains(name))).unwrap_or(at))
}

/// The name of the temporary relation that the statement makes.
pub(super) fn created(node: &NodeEnum) -> Option<&str> {
    let range: &RangeVar = match node {
        NodeEnum::CreateStmt(create) => create.relation.as_ref()?,
        NodeEnum::CreateTableAsStmt(create) => create.into.as_ref()?.rel.as_ref()?,
        NodeEnum::SelectStmt(select) => select.into_clause.as_ref()?.rel.as_ref()?,
        NodeEnum::ViewStmt(view) => view.view.as_ref()?,
        NodeEnum::CreateSeqStmt(sequence) => sequence.sequence.as_ref()?,
        _ => return None,
    };
    (range.relpersistence == "t").then_some(range.relname.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Source, author};

    fn spans_of(text: &str) -> Vec<Option<usize>> {
        let statements = crate::sql::parse(text).unwrap();
        let catalog = Catalog::default();
        let (authored, _) = author::read(Source::of(&statements), &catalog).unwrap();
        spans(&authored, &catalog)
    }

    #[test]
    fn reach_from_the_creation_to_the_last_mention() {
        assert_eq!(
            spans_of(
                "CREATE TABLE a (); CREATE TEMP TABLE x AS SELECT 1; CREATE TABLE b (); DO 'begin delete from x; end'; CREATE TABLE c ()"
            ),
            [None, Some(1), Some(1), Some(1), None]
        );
        assert_eq!(spans_of("CREATE TEMP TABLE x (); CREATE TABLE b ()"), [None, None]);
    }

    #[test]
    fn deferred_constraints_hold_to_the_last_change_of_rows() {
        assert_eq!(
            spans_of(
                "SET CONSTRAINTS ALL DEFERRED; INSERT INTO a VALUES (1); CREATE TABLE c (); DELETE FROM b; CREATE TABLE d ()"
            ),
            [Some(0), Some(0), Some(0), Some(0), None]
        );
        assert_eq!(spans_of("SET CONSTRAINTS ALL DEFERRED; CREATE TABLE c ()"), [None]);
    }

    #[test]
    fn none_around_what_needs_no_transaction() {
        assert_eq!(spans_of("CREATE TEMP TABLE x (); VACUUM; SELECT FROM x"), [None, None, None]);
    }
}
