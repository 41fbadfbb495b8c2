//! ALTER COLUMN ... TYPE (`ATPrepAlterColumnType`, `ATColumnChangeRequiresRewrite`, `ATExecAlterColumnType` in
//! tablecmds.c).

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, Node, a_const};

use super::add_column::refuse_missing_type;
use super::column::members;
use super::expressions;
use super::type_dependents::{self, Change};
use super::work::Work;
use crate::catalog::types::{base_type, builtin, resolve_type, serial_integer};
use crate::catalog::{Column, DataType, Generated, RelationKind};
use crate::plan::analyze::coercion::{Context, Conversion, convert};
use crate::plan::analyze::expression::{Place, check_of, impossible_cast, type_of};
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::refusal::missing_object;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;
use crate::sql::expression::parse_expression;

pub(super) fn alter_type<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, new: &ColumnDef, recurse: bool) {
    if root.relation.of_type.is_some() {
        let message = "cannot alter column type of typed table";
        work.impact.refuse("42809", message, "Alter the attribute of its type, with CASCADE.");
    }
    if !work.require_column(root, name) {
        return;
    }
    let Some(column) = work.column(root, name).cloned() else { return };
    refuse_inherited(work, root, &column);
    if column.generated.is_some() && new.raw_default.is_some() {
        let message = "cannot specify USING when altering type of generated column";
        work.impact.refuse("42611", message, "Leave out USING: the generation expression gives the values.");
    }
    let Some(to) = target_type(work, new) else {
        return unknown_target(work, root, recurse);
    };
    if work.now(root).column(name).map(|now| &now.data_type) != root.relation.column(name).map(|was| &was.data_type) {
        work.impact.refuse("0A000", format!("cannot alter type of column \"{name}\" twice"), "Change it once.");
    }
    if !recurse && !work.resolver.children(root.name).is_empty() {
        let message = format!("type of inherited column \"{name}\" must be changed in child tables too");
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    identity(work, root, &column, &to);
    default(work, root, &column, &to);
    for member in members(work, root, recurse) {
        change_in(work, member, name, new, &to);
    }
    if column.data_type.sql != to.sql && !widens(&column.data_type, &to) {
        let message =
            format!("applications that know the old type of {}.{} may fail", root.name, crate::sql::quote::ident(name));
        work.impact.hazard(HazardId::BreaksClients, Some(root.name), message);
    }
}

/// Whether every value of the one type is a value of the other, read and compared alike: clients that know the old
/// type go on.
fn widens(from: &DataType, to: &DataType) -> bool {
    let builtin = |data_type: &DataType| data_type.name.schema == "pg_catalog";
    if from.array != to.array || !builtin(from) || !builtin(to) {
        return false;
    }
    let unlimited = to.modifier < 0;
    match (from.name.name.as_str(), to.name.name.as_str()) {
        ("int2", "int4" | "int8") | ("int4", "int8") | ("float4", "float8") | ("varchar", "text") => true,
        ("text", "varchar") => unlimited,
        ("int2" | "int4" | "int8", "numeric") => unlimited,
        ("varchar", "varchar") | ("timestamp", "timestamp") | ("timestamptz", "timestamptz") => {
            unlimited || (from.modifier >= 0 && to.modifier >= from.modifier)
        }
        // Precision above, scale in the low bits: the scale is shown.
        ("numeric", "numeric") => {
            unlimited
                || (from.modifier >= 0 && to.modifier >= from.modifier && from.modifier & 0x7FF == to.modifier & 0x7FF)
        }
        _ => false,
    }
}

/// Whether every value of the one type converts to the other. Of `bpchar` the blanks at the end go, so that nothing gets
/// longer (`rtrim1`, `bpchar`, `varchar` of varchar.c).
fn fits(from: &DataType, to: &DataType) -> bool {
    let plain = |data_type: &DataType| data_type.name.schema == "pg_catalog" && !data_type.array;
    let longer = to.modifier < 0 || (from.modifier >= 0 && to.modifier >= from.modifier);
    let padded = plain(from) && plain(to) && from.name.name == "bpchar";
    widens(from, to)
        || padded && (to.name.name == "text" || matches!(to.name.name.as_str(), "varchar" | "bpchar") && longer)
}

/// A type that is not known: the worst.
fn unknown_target<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, recurse: bool) {
    for member in members(work, root, recurse) {
        work.rewrite(member);
    }
}

fn refuse_inherited<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, column: &Column) {
    let name = &column.name;
    if column.inherited > 0 {
        let message = format!("cannot alter inherited column \"{name}\"");
        work.impact.refuse("42P16", message, "Alter it in the parent table.");
    }
    refuse_partition_key(work, root, name, "alter");
    let partitions = work.resolver.descendants(root);
    for partition in partitions {
        refuse_partition_key(work, partition, name, "alter");
    }
}

/// 42P16 for a column of the partition key.
pub(super) fn refuse_partition_key<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, name: &str, verb: &str) {
    let key = rel.relation.partition_key.as_ref();
    if key.is_some_and(|key| key.columns.iter().any(|column| column == name)) {
        let message = format!(
            "cannot {verb} column \"{name}\" because it is part of the partition key of relation \"{}\"",
            rel.name.name
        );
        work.impact.refuse("42P16", message, "Make a new partitioned table, and move the rows.");
    }
}

/// `serial` is no type here.
fn target_type(work: &mut Work<'_, '_>, new: &ColumnDef) -> Option<DataType> {
    let name = new.type_name.as_ref()?;
    if serial_integer(name).is_some()
        && !work
            .resolver
            .catalog
            .types
            .keys()
            .any(|known| Some(known.name.as_str()) == strings(&name.names).last().copied())
    {
        let shown = Qualified::from_type(name).map(|name| name.shown()).unwrap_or_default();
        missing_object(&mut work.impact, "type", &shown);
        return None;
    }
    let found = resolve_type(name, work.resolver.catalog);
    match &found {
        Some(found) => expressions::column_type(work, new, found),
        None => refuse_missing_type(work, name),
    }
    found
}

/// The sequence of an identity column changes with it.
fn identity<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, column: &Column, to: &DataType) {
    if column.identity.is_none() {
        return;
    }
    if !matches!(to.sql.as_str(), "smallint" | "integer" | "bigint") {
        let message = "identity column type must be smallint, integer, or bigint";
        work.impact.refuse("22023", message, "Drop the identity first.");
    }
    for sequence in work.resolver.owned_sequences(root, Some(&column.name)) {
        work.lock_with(sequence, LockMode::ShareRowExclusive);
    }
}

/// The default is converted as well.
fn default<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, column: &Column, to: &DataType) {
    let Some(text) = &column.default else { return };
    let Some(expression) = parse_expression(text) else { return };
    let from = type_of(&expression, Some(work.now(root)), work.resolver.catalog);
    let from = from.unwrap_or_else(|| DataType::clone(&column.data_type));
    if convert(&from, to, Context::Assignment, work.resolver.catalog) == Conversion::Impossible {
        let what = if column.generated.is_some() { "generation expression" } else { "default" };
        let message = format!("{what} for column \"{}\" cannot be cast automatically to type {}", column.name, to.sql);
        work.impact.refuse("42804", message, "Drop the default first, and set it again afterwards.");
    }
}

/// The column in one table of the tree.
pub(super) fn change_in<'a>(work: &mut Work<'_, 'a>, member: Rel<'a>, name: &str, new: &ColumnDef, to: &DataType) {
    let Some(column) = work.column(member, name).cloned() else { return };
    type_dependents::refuse(work, member, name);
    let computed = match new.raw_default.as_deref() {
        Some(using) => using_computes(work, member, &column, using, to),
        None => plain_computes(work, &column, to),
    };
    // Virtual values are not stored; foreign tables have no file.
    let computed = computed && column.generated != Some(Generated::Virtual);
    if computed {
        work.rewrite(member);
    }
    if member.relation.kind != RelationKind::PartitionedTable {
        work.new_values(member);
    }
    let (before, after) = collations(work, &column, new, to);
    let change = Change {
        column: name,
        from: DataType::clone(&column.data_type),
        to: to.clone(),
        computed: computed && (member.relation.kind.has_heap() || member.relation.partition_key.is_some()),
        collation: before != after,
        old_collation: Some(before),
    };
    type_dependents::rebuild(work, member, &change);
    let relation = work.change(member);
    if let Some(column) = relation.columns.iter_mut().find(|column| column.name == name) {
        column.data_type = to.clone().into();
    }
}

/// Without USING the value is assigned.
fn plain_computes(work: &mut Work<'_, '_>, column: &Column, to: &DataType) -> bool {
    match convert(&column.data_type, to, Context::Assignment, work.resolver.catalog) {
        Conversion::Kept(_) => false,
        Conversion::Computed => {
            if !fits(&column.data_type, to) {
                may_fail(work, column, to);
            }
            true
        }
        Conversion::Impossible => {
            let message = format!("column \"{}\" cannot be cast automatically to type {}", column.name, to.sql);
            let hint = format!("Say how: USING \"{}\"::{}.", column.name, to.sql);
            work.impact.refuse("42804", message, hint);
            true
        }
    }
}

fn may_fail(work: &mut Work<'_, '_>, column: &Column, to: &DataType) {
    let message =
        format!("the statement fails if a value of {} does not fit {}", crate::sql::quote::ident(&column.name), to.sql);
    work.impact.hazard(HazardId::MayFail, None, message);
}

/// What an expression over the column is, after the server has simplified it.
enum Traced {
    /// The stored value of the column, known as that type.
    Column(DataType),
    /// Something computed, of that type if it is known.
    Computed(Option<DataType>),
}

fn using_computes<'a>(work: &mut Work<'_, 'a>, member: Rel<'a>, column: &Column, using: &Node, to: &DataType) -> bool {
    let problem = check_of(using, work.now(member), Some(&member.name.name), Place::Transform).err();
    if let Some(problem) = problem.or_else(|| impossible_cast(using, work.now(member), work.resolver)) {
        work.impact.refuse(problem.sqlstate, problem.message, problem.hint);
        return true;
    }
    let functions: Vec<_> = work.evaluate(using).function_names().cloned().collect();
    work.runs(member, &functions);
    let traced = trace(work, member, column, using);
    let (of, stored) = match traced {
        Traced::Column(of) => (Some(of), true),
        Traced::Computed(of) => (of, false),
    };
    let Some(of) = of else { return true };
    match convert(&of, to, Context::Assignment, work.resolver.catalog) {
        Conversion::Kept(_) if stored => return false,
        Conversion::Impossible => {
            let message = format!(
                "result of USING clause for column \"{}\" cannot be cast automatically to type {}",
                column.name, to.sql
            );
            work.impact.refuse("42804", message, "Cast the result of the expression to the new type.");
        }
        _ => {}
    }
    may_fail(work, column, to);
    true
}

fn trace<'a>(work: &mut Work<'_, 'a>, member: Rel<'a>, column: &Column, expression: &Node) -> Traced {
    match expression.node.as_ref() {
        Some(NodeEnum::ColumnRef(reference)) => match strings(&reference.fields).last() {
            Some(name) if *name == column.name => Traced::Column(DataType::clone(&column.data_type)),
            Some(name) => Traced::Computed(work.column(member, name).map(|other| DataType::clone(&other.data_type))),
            None => Traced::Computed(None),
        },
        Some(NodeEnum::CollateClause(collate)) => match collate.arg.as_deref() {
            Some(inner) => trace(work, member, column, inner),
            None => Traced::Computed(None),
        },
        Some(NodeEnum::TypeCast(cast)) => {
            let to = cast.type_name.as_ref().and_then(|name| resolve_type(name, work.resolver.catalog));
            let inner = cast.arg.as_deref().map(|inner| trace(work, member, column, inner));
            match (inner, to) {
                (Some(Traced::Column(from)), Some(to)) => cast_column(work, &from, &to),
                (_, to) => Traced::Computed(to),
            }
        }
        Some(NodeEnum::CaseExpr(case)) if case.arg.is_none() => {
            for when in &case.args {
                let Some(NodeEnum::CaseWhen(when)) = when.node.as_ref() else { return Traced::Computed(None) };
                let (Some(condition), Some(result)) = (when.expr.as_deref(), when.result.as_deref()) else {
                    return Traced::Computed(None);
                };
                match truth(condition) {
                    Some(true) => return trace(work, member, column, result),
                    Some(false) => {}
                    None => return Traced::Computed(None),
                }
            }
            match case.defresult.as_deref() {
                Some(rest) => trace(work, member, column, rest),
                None => Traced::Computed(None),
            }
        }
        _ => Traced::Computed(type_of(expression, Some(work.now(member)), work.resolver.catalog)),
    }
}

/// The stored value cast to another type: still the stored value where nothing is computed.
fn cast_column(work: &mut Work<'_, '_>, from: &DataType, to: &DataType) -> Traced {
    match convert(from, to, Context::Explicit, work.resolver.catalog) {
        Conversion::Kept(modifier) => Traced::Column(DataType { modifier, ..to.clone() }),
        Conversion::Computed => Traced::Computed(Some(to.clone())),
        Conversion::Impossible => {
            let message = format!("cannot cast type {} to {}", from.sql, to.sql);
            work.impact.refuse("42846", message, "Convert through a type that both have casts with, such as text.");
            Traced::Computed(Some(to.clone()))
        }
    }
}

fn truth(node: &Node) -> Option<bool> {
    let Some(NodeEnum::AConst(constant)) = node.node.as_ref() else { return None };
    match constant.val.as_ref()? {
        a_const::Val::Boolval(value) => Some(value.boolval),
        _ => None,
    }
}

/// The collation of the column before and after: that of the clause, else its new type's. Bare names; none for a
/// type without collations.
fn collations(work: &Work<'_, '_>, column: &Column, new: &ColumnDef, to: &DataType) -> (String, String) {
    let of_type = |of: &DataType| {
        let base = base_type(of, work.resolver.catalog);
        builtin(&base.name, work.resolver.catalog)
            .map_or_else(|| "default".to_owned(), |found| found.collation.unwrap_or_default().to_owned())
    };
    let bare = |name: &str| type_dependents::bare(name).to_owned();
    let before = column.collation.as_deref().map_or_else(|| of_type(&column.data_type), bare);
    let after = new
        .coll_clause
        .as_ref()
        .and_then(|clause| strings(&clause.collname).last().copied())
        .map_or_else(|| of_type(to), bare);
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Name;

    fn of(name: &str, length: i32) -> DataType {
        let modifier = if length < 0 { -1 } else { length + 4 };
        DataType { name: Name::new("pg_catalog", name), sql: name.to_owned(), array: false, modifier }
    }

    #[test]
    fn padded_text_fits_where_there_is_as_much_room() {
        for (to, length, wanted) in [
            ("text", -1, true),
            ("varchar", -1, true),
            ("varchar", 2, true),
            ("varchar", 1, false),
            ("bpchar", 3, true),
            ("name", -1, false),
        ] {
            assert_eq!(fits(&of("bpchar", 2), &of(to, length)), wanted, "{to}({length})");
        }
        assert!(!widens(&of("bpchar", 2), &of("text", -1)), "it compares otherwise");
    }
}
