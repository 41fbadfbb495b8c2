//! What the author drops and makes again under the same name: in one transaction, as nobody may find it missing in
//! between. Only where nothing in that transaction takes long; otherwise the drop tells what it breaks.

use std::ops::RangeInclusive;

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectType, RangeVar};

use super::action::Run;
use super::analyze::TransactionRule;
use super::created::Created;
use super::draft::{UndoSource, Work};
use super::expand::{heavy, single};
use super::model::Policy;
use super::patterns::as_written;
use super::steps::Placed;
use crate::catalog::expression::strings;
use crate::catalog::{Catalog, apply::apply};
use crate::sql::Statement;

/// Kind, schema (empty where none is written), name, and the table that it is on.
type Thing = (ObjectType, String, String, String);

/// Whether the statement drops what another one may make again.
pub(super) fn is_drop(node: &NodeEnum) -> bool {
    !dropped(node).is_empty()
}

/// Gives each drop the transaction of what makes the same again, with all between them.
pub(super) fn join(steps: &mut [Placed], catalog: &Catalog, policy: &Policy) {
    let alone: Vec<Option<Statement>> = steps.iter().map(|placed| single(text(placed)?)).collect();
    let nodes: Vec<Option<&NodeEnum>> =
        alone.iter().map(|statement| statement.as_ref().map(|statement| &statement.node)).collect();
    let mut ranges: Vec<RangeInclusive<usize>> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        for thing in node.map(dropped).unwrap_or_default() {
            let makes = |other: &Option<&NodeEnum>| other.and_then(made).is_some_and(|made| same(&made, &thing));
            let Some(distance) = nodes.iter().skip(at + 1).position(makes) else { continue };
            let end = at + 1 + distance;
            match ranges.last_mut() {
                Some(last) if *last.end() >= at => *last = *last.start()..=end.max(*last.end()),
                _ => ranges.push(at..=end),
            }
        }
    }
    let Some(end) = ranges.last().map(|range| *range.end()) else { return };
    // Numbers of spans are indexes of the author's statements: these are others.
    let mut number = usize::MAX;
    let mut ranges = ranges.into_iter().peekable();
    let mut before = catalog.clone();
    let (mut created, mut at) = (Created::default(), 0);
    while at <= end {
        let range = ranges.next_if(|range| *range.start() == at);
        let last = range.as_ref().map_or(at, |range| *range.end());
        if range.is_some() && short(&steps[at..=last], &nodes[at..=last], &before, &created, policy) {
            steps[at..=last].iter_mut().for_each(|placed| placed.span = Some(number));
            number -= 1;
        }
        for (placed, statement) in steps[at..=last].iter().zip(&alone[at..=last]) {
            let known = before.clone();
            placed.settings.enter(&mut before);
            match (statement, &placed.draft.work) {
                (Some(statement), _) => {
                    let _ = apply(&mut before, statement);
                }
                (None, Work::Sql(texts)) => {
                    for statement in texts.iter().filter_map(|text| single(text)) {
                        let _ = apply(&mut before, &statement);
                    }
                }
                (None, _) => {}
            }
            before.server = catalog.server.clone();
            created.observe(&known, &before, statement.iter().map(|statement| &statement.node));
        }
        at = last + 1;
    }
}

/// Whether the steps may share a transaction: all as the author wrote them, and nobody waits for long.
fn short(steps: &[Placed], nodes: &[Option<&NodeEnum>], before: &Catalog, created: &Created, policy: &Policy) -> bool {
    let Some(first) = steps.first() else { return false };
    let alike = steps.iter().zip(nodes).all(|(placed, node)| {
        placed.pattern == as_written::NAME
            && placed.span.is_none()
            && placed.settings == first.settings
            && placed.draft.stage == first.draft.stage
            && placed.draft.undo == UndoSource::Catalog
            && !placed.draft.alone
            && !placed.draft.late
            && node.is_some_and(is_brief)
    });
    let texts: Option<Vec<String>> = steps.iter().map(|placed| text(placed).map(str::to_owned)).collect();
    let mut catalog = before.clone();
    first.settings.enter(&mut catalog);
    let run = texts.filter(|_| alike).and_then(|texts| Run::of(&texts, &mut catalog));
    run.is_some_and(|run| {
        run.impact.transaction == TransactionRule::Allowed
            && !run.alone
            && !run.unforeseeable
            && !heavy(&run.impact, before, created, policy)
    })
}

fn text(placed: &Placed) -> Option<&str> {
    match &placed.draft.work {
        Work::Sql(texts) => match texts.as_slice() {
            [text] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Statements of the schema whose way back two catalogs tell.
fn is_brief(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::DropStmt(_)
            | NodeEnum::ViewStmt(_)
            | NodeEnum::CreateTableAsStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::AlterTableStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::CreateStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
    )
}

/// What the statement drops, of the kinds that are gone for nobody when they come back at once.
fn dropped(node: &NodeEnum) -> Vec<Thing> {
    let NodeEnum::DropStmt(drop) = node else { return Vec::new() };
    let kind = drop.remove_type();
    let parts = |object: &Node| -> Option<Vec<String>> {
        match object.node.as_ref()? {
            NodeEnum::List(list) => Some(strings(&list.items)),
            NodeEnum::ObjectWithArgs(function) => Some(strings(&function.objname)),
            _ => None,
        }
    };
    let thing = |mut parts: Vec<String>| -> Option<Thing> {
        let name = parts.pop()?;
        match kind {
            ObjectType::ObjectView | ObjectType::ObjectMatview => {
                Some((kind, parts.pop().unwrap_or_default(), name, String::new()))
            }
            ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectRoutine => {
                Some((ObjectType::ObjectFunction, parts.pop().unwrap_or_default(), name, String::new()))
            }
            ObjectType::ObjectTrigger | ObjectType::ObjectPolicy | ObjectType::ObjectRule => {
                let table = parts.pop()?;
                Some((kind, parts.pop().unwrap_or_default(), name, table))
            }
            _ => None,
        }
    };
    drop.objects.iter().filter_map(|object| thing(parts(object)?)).collect()
}

/// What the statement makes.
fn made(node: &NodeEnum) -> Option<Thing> {
    let relation =
        |kind: ObjectType, range: &RangeVar| (kind, range.schemaname.clone(), range.relname.clone(), String::new());
    let on_table = |kind: ObjectType, name: &str, range: &RangeVar| {
        (kind, range.schemaname.clone(), name.to_owned(), range.relname.clone())
    };
    Some(match node {
        NodeEnum::ViewStmt(view) => relation(ObjectType::ObjectView, view.view.as_ref()?),
        NodeEnum::CreateTableAsStmt(create) if create.objtype() == ObjectType::ObjectMatview => {
            relation(ObjectType::ObjectMatview, create.into.as_ref()?.rel.as_ref()?)
        }
        NodeEnum::CreateFunctionStmt(function) => {
            let mut parts = strings(&function.funcname);
            let name = parts.pop()?;
            (ObjectType::ObjectFunction, parts.pop().unwrap_or_default(), name, String::new())
        }
        NodeEnum::CreateTrigStmt(trigger) => {
            on_table(ObjectType::ObjectTrigger, &trigger.trigname, trigger.relation.as_ref()?)
        }
        NodeEnum::CreatePolicyStmt(policy) => {
            on_table(ObjectType::ObjectPolicy, &policy.policy_name, policy.table.as_ref()?)
        }
        NodeEnum::RuleStmt(rule) => on_table(ObjectType::ObjectRule, &rule.rulename, rule.relation.as_ref()?),
        _ => return None,
    })
}

/// Whether the names may mean the same: a schema that is not written may be any.
fn same(one: &Thing, other: &Thing) -> bool {
    let schema = one.1.is_empty() || other.1.is_empty() || one.1 == other.1;
    schema && one.0 == other.0 && one.2 == other.2 && one.3 == other.3
}
