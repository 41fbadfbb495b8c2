//! ALTER COLUMN other than its type, NOT NULL and identity.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, Node};

use super::expressions;
use super::work::Work;
use crate::catalog::types::{base_type, builtin};
use crate::catalog::{ConstraintKind, Generated, RelationKind};
use crate::plan::analyze::resolve::Rel;

/// The whole tree, or the relation alone with ONLY; each locked with the statement's lock.
pub(super) fn members<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, recurse: bool) -> Vec<Rel<'a>> {
    let members = if recurse { work.resolver.tree(root) } else { vec![root] };
    for member in &members {
        work.lock(*member);
    }
    members
}

pub(super) fn set_default<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    name: &str,
    expression: Option<&Node>,
    recurse: bool,
) {
    for member in members(work, root, recurse) {
        if !work.require_column(member, name) {
            return;
        }
        let Some(column) = work.column(member, name).cloned() else { return };
        let special = [(column.identity.is_some(), "an identity"), (column.generated.is_some(), "a generated")];
        if let Some((_, what)) = special.into_iter().find(|(is, _)| *is) {
            let message = format!("column \"{name}\" of relation \"{}\" is {what} column", member.name.name);
            work.impact.refuse("42601", message, "Drop the identity or the expression first.");
        }
        if let Some(expression) = expression {
            expressions::default(work, name, expression, Some(&column.data_type), expressions::Evaluated::Later);
            work.evaluate(expression);
        }
        if let Some(column) = work.change(member).columns.iter_mut().find(|column| column.name == name) {
            column.default = None;
            column.references.clear();
        }
    }
}

/// Also of an index, whose columns are named by number or by name.
pub(super) fn set_statistics<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, command: &AlterTableCmd, recurse: bool) {
    if let Some(index) = &root.relation.index {
        let named = index.keys.iter().filter_map(|key| key.column.as_ref()).chain(&index.include);
        if let Some(column) = named.into_iter().find(|column| !command.name.is_empty() && **column == command.name) {
            let message = format!("cannot alter statistics on column \"{column}\" of index \"{}\"", root.name.name);
            work.impact.refuse("0A000", message, "Alter statistics on the table's column instead.");
        }
        let keys = index.keys.len();
        let number = usize::try_from(command.num).unwrap_or(0);
        if number > keys {
            let message = format!("column number {number} of relation \"{}\" does not exist", root.name.name);
            work.impact.refuse("42703", message, "Count the columns of the index from 1.");
        } else if let Some(column) = number.checked_sub(1).and_then(|at| index.keys.get(at)?.column.as_ref()) {
            let message = format!(
                "cannot alter statistics on non-expression column \"{column}\" of index \"{}\"",
                root.name.name
            );
            work.impact.refuse("0A000", message, "Alter statistics on the table's column instead.");
        }
        return;
    }
    if command.name.is_empty() {
        let message = "cannot refer to non-index column by number";
        work.impact.refuse("0A000", message, "Name the column.");
        return;
    }
    for member in members(work, root, recurse) {
        work.require_column(member, &command.name);
    }
}

/// `n_distinct` and its kin: of the relation alone, whatever its children are.
pub(super) fn set_options<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, options: Option<&NodeEnum>) {
    work.require_column(root, name);
    let Some(NodeEnum::List(list)) = options else { return };
    for item in &list.items {
        if let Some(NodeEnum::DefElem(option)) = item.node.as_ref()
            && !matches!(option.defname.as_str(), "n_distinct" | "n_distinct_inherited")
        {
            let message = format!("unrecognized parameter \"{}\"", option.defname);
            work.impact.refuse("22023", message, "Columns have n_distinct and n_distinct_inherited.");
        }
    }
}

pub(super) fn set_storage<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    name: &str,
    storage: Option<&NodeEnum>,
    recurse: bool,
) {
    let Some(NodeEnum::String(storage)) = storage else { return };
    let storage = storage.sval.to_ascii_lowercase();
    if !["plain", "external", "extended", "main", "default"].contains(&storage.as_str()) {
        let message = format!("invalid storage type \"{storage}\"");
        work.impact.refuse("22023", message, "Use PLAIN, EXTERNAL, EXTENDED, MAIN or DEFAULT.");
    }
    for member in members(work, root, recurse) {
        if work.require_column(member, name) && !matches!(storage.as_str(), "plain" | "default") {
            refuse_plain(work, member, name, "can only have storage PLAIN");
        }
    }
}

/// Of the relation alone, whatever its children are.
pub(super) fn set_compression<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str) {
    if work.require_column(root, name) {
        refuse_plain(work, root, name, "does not support compression");
    }
}

/// 0A000 for a type whose values have a fixed length.
fn refuse_plain<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, name: &str, what: &str) {
    let Some(column) = work.column(rel, name) else { return };
    let base = base_type(&column.data_type, work.resolver.catalog);
    let plain = !base.array && builtin(&base.name, work.resolver.catalog).is_some_and(|found| found.storage == 'p');
    let message = format!("column data type {} {what}", base.sql);
    if plain {
        work.impact.refuse("0A000", message, "Only types of variable length have that choice.");
    }
}

/// The values of a stored generated column are computed anew; those of a virtual one were never stored.
pub(super) fn set_expression<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    name: &str,
    expression: Option<&Node>,
    recurse: bool,
) {
    for member in members(work, root, recurse) {
        if !work.require_column(member, name) {
            return;
        }
        let Some(column) = work.column(member, name).cloned() else { return };
        let Some(kind) = column.generated else {
            let message = format!("column \"{name}\" of relation \"{}\" is not a generated column", member.name.name);
            work.impact.refuse("55000", message, "Only generated columns have an expression.");
            return;
        };
        let functions = expression.map(|expression| expressions::generated(work, member, name, expression));
        if kind == Generated::Virtual {
            check_virtual(work, member);
            if column.not_null {
                work.verify(member);
            }
            continue;
        }
        work.rewrite(member);
        work.runs(member, &functions.unwrap_or_default());
        work.new_values(member);
        super::type_dependents::rebuild_indexes(work, member, name);
    }
}

/// On a table with CHECKs the expression of a virtual column stays.
fn check_virtual<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>) {
    let mut constraints = work.now(rel).constraints.iter();
    if constraints.any(|constraint| matches!(constraint.kind, ConstraintKind::Check { .. })) {
        let message = "ALTER TABLE / SET EXPRESSION is not supported for virtual generated columns in tables with check constraints";
        work.impact.refuse("0A000", message, "Drop the check first, and add it again.");
    }
}

pub(super) fn drop_expression<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, missing_ok: bool, recurse: bool) {
    let children = !work.resolver.children(root.name).is_empty();
    if !recurse && children {
        let message = "ALTER TABLE / DROP EXPRESSION must be applied to child tables too";
        work.impact.refuse("0A000", message, "Leave out ONLY.");
    }
    for member in members(work, root, recurse) {
        if !work.require_column(member, name) {
            return;
        }
        let Some(column) = work.column(member, name) else { return };
        let inherited = column.inherited > 0 && member == root && root.relation.kind != RelationKind::PartitionedTable;
        match column.generated {
            _ if inherited && column.generated.is_some() => {
                let message = "cannot drop generation expression from inherited column";
                work.impact.refuse("42P16", message, "Drop it in the parent table.");
            }
            Some(Generated::Virtual) => {
                let message = "ALTER TABLE / DROP EXPRESSION is not supported for virtual generated columns";
                work.impact.refuse("0A000", message, "Drop the column, and add it again.");
            }
            None if !missing_ok => {
                let stored = if work.major() >= 18 { "" } else { "stored " };
                let message =
                    format!("column \"{name}\" of relation \"{}\" is not a {stored}generated column", member.name.name);
                work.impact.refuse("55000", message, "Leave the statement out, or use IF EXISTS.");
            }
            _ => {}
        }
        if let Some(column) = work.change(member).columns.iter_mut().find(|column| column.name == name) {
            column.generated = None;
        }
    }
}
