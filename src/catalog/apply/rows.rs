//! Statements that change rows: a table is not known to be empty any more. The schema stays.

use pg_query::protobuf::{RangeVar, RefreshMatViewStmt, ReindexStmt, TruncateStmt, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::Name;

/// Rows may be in the table from now on, and in its partitions.
fn filled(edit: &mut Edit<'_>, range: Option<&RangeVar>) -> Outcome {
    let Some(range) = range else { return Ok(()) };
    let Some(name) = names::find_relation(edit, range) else { return Ok(()) };
    fill(edit, &name)
}

fn fill(edit: &mut Edit<'_>, name: &Name) -> Outcome {
    let known_empty = |edit: &Edit<'_>, name: &Name| edit.relations.get(name).is_some_and(|own| own.stats.empty);
    let partitioned = edit.relations.get(name).is_some_and(|own| own.partition_key.is_some());
    let members = if partitioned { names::tree(edit, name) } else { vec![name.clone()] };
    for member in members {
        if known_empty(edit, &member) {
            edit.relation_mut(&member)?.stats.empty = false;
        }
    }
    Ok(())
}

/// The statements that may add rows, data-modifying parts of queries included.
pub(super) fn note(edit: &mut Edit<'_>, node: &node::Node) -> Outcome {
    match node {
        node::Node::InsertStmt(statement) => filled(edit, statement.relation.as_ref()),
        node::Node::MergeStmt(statement) => filled(edit, statement.relation.as_ref()),
        node::Node::CopyStmt(statement) if statement.is_from => filled(edit, statement.relation.as_ref()),
        node::Node::SelectStmt(select) => {
            let Some(with) = &select.with_clause else { return Ok(()) };
            for cte in &with.ctes {
                if let Some(node::Node::CommonTableExpr(cte)) = &cte.node
                    && let Some(inner) = cte.ctequery.as_deref().and_then(|query| query.node.as_ref())
                {
                    note(edit, inner)?;
                }
            }
            Ok(())
        }
        // A procedure or function may do anything to rows.
        node::Node::CallStmt(_) => everything(edit),
        _ => Ok(()),
    }
}

/// Nothing is known to be empty.
pub(super) fn everything(edit: &mut Edit<'_>) -> Outcome {
    let empty: Vec<Name> =
        edit.relations.iter().filter(|(_, own)| own.stats.empty).map(|(name, _)| name.clone()).collect();
    for name in empty {
        edit.relation_mut(&name)?.stats.empty = false;
    }
    Ok(())
}

/// `TRUNCATE`: the tables must exist; they are empty afterwards.
pub(super) fn truncate(edit: &mut Edit<'_>, statement: &TruncateStmt) -> Outcome {
    for node in &statement.relations {
        let Some(node::Node::RangeVar(range)) = &node.node else { continue };
        let name = names::relation(edit, Some(range))?;
        let members = if range.inh { names::tree(edit, &name) } else { vec![name] };
        for member in members {
            let relation = edit.relation_mut(&member)?;
            if relation.kind.has_heap() {
                relation.stats.empty = true;
                relation.stats.bytes = 0;
            }
        }
    }
    Ok(())
}

/// `REFRESH MATERIALIZED VIEW`.
pub(super) fn refresh(edit: &mut Edit<'_>, statement: &RefreshMatViewStmt) -> Outcome {
    let name = names::relation(edit, statement.relation.as_ref())?;
    let relation = edit.relation_mut(&name)?;
    relation.stats.empty = statement.skip_data;
    match &mut relation.view {
        Some(view) => {
            view.populated = !statement.skip_data;
            Ok(())
        }
        None => fail!("{name} is not a materialized view"),
    }
}

/// `REINDEX (TABLESPACE ..)` moves the indexes.
pub(super) fn reindex(edit: &mut Edit<'_>, statement: &ReindexStmt) -> Outcome {
    let element = names::options(&statement.params).find(|element| element.defname == "tablespace");
    let Some(tablespace) = element.and_then(|element| names::option_text(element.arg.as_deref())) else {
        return Ok(());
    };
    let Some(range) = &statement.relation else {
        fail!("which indexes move to the other tablespace is not worked out")
    };
    let name = names::relation(edit, Some(range))?;
    let mut moving = Vec::new();
    for member in names::tree(edit, &name) {
        if edit.relation(&member)?.kind.is_index() {
            moving.push(member)
        } else {
            moving.extend(names::indexes(edit, &member))
        }
    }
    let tablespace = if tablespace == edit.server.default_tablespace { String::new() } else { tablespace };
    for index in moving {
        edit.relation_mut(&index)?.tablespace.clone_from(&tablespace);
    }
    Ok(())
}

/// `CLUSTER table USING index` marks the index.
pub(super) fn cluster(edit: &mut Edit<'_>, statement: &pg_query::protobuf::ClusterStmt) -> Outcome {
    let Some(range) = &statement.relation else { return Ok(()) };
    let table = names::relation(edit, Some(range))?;
    if statement.indexname.is_empty() {
        return Ok(());
    }
    for name in names::indexes(edit, &table) {
        if let Some(own) = &mut edit.relation_mut(&name)?.index {
            own.clustered = name.name == statement.indexname;
        }
    }
    Ok(())
}
