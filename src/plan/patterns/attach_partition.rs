//! Attaching a large table as a partition: what `ATTACH PARTITION` would build or read under its locks is there
//! beforehand.
//!
//! The server reads the rows of the new partition, and those of the default partition, unless valid constraints
//! prove what it looks for (`PartConstraintImpliedByRelConstraint` in tablecmds.c); it builds the indexes and checks the foreign
//! keys that the partition lacks. So the partition gets a check equal to its bound, the default partition one that
//! excludes it, both proven while reads and writes go on; indexes are built concurrently and foreign keys proven
//! one by one. The checks go once the partition is in.
//!
//! Traps: a check that is not validated proves nothing. A key is taken over only when a constraint stands behind
//! the partition's index. Taking over a foreign key locks the referenced table for a moment.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node, PartitionBoundSpec, PartitionRangeDatumKind, a_const};

use super::parts;
use crate::catalog::expression::strings;
use crate::catalog::{ConstraintKind, Name, Relation, RelationKind, naming};
use crate::plan::analyze::{Rel, Target};
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::{Context, single};
use crate::plan::model::Stage;
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    if alter.command.subtype() != AlterTableType::AtAttachPartition || !context.heavy() {
        return None;
    }
    let NodeEnum::PartitionCmd(command) = alter.command.def.as_ref()?.node.as_ref()? else {
        return None;
    };
    let partition = parts::table(context, command.name.as_ref()?)?;
    if partition.relation.kind != RelationKind::Table {
        return None;
    }
    let (table, reached) = (alter.table, context.after()?.relations.get(partition.name)?);
    let bound = reached.partition_bound.as_ref()?;
    let mut pieces = indexes(context, partition, reached)?;
    pieces.extend(foreign_keys(partition, reached));
    let condition = condition(context, table, bound);
    let mut checked: Vec<(&Name, String)> = Vec::new();
    if let Some(condition) = &condition {
        if reads(context, partition.name) {
            let name = check_name(context, partition.name);
            pieces.extend(check(partition.name, &name, condition, "lies within the bound"));
            checked.push((partition.name, name));
        }
        if let Some(default) = table.relation.partition_key.as_ref()?.default_partition.as_ref()
            && reads(context, default)
        {
            let name = check_name(context, default);
            pieces.extend(check(default, &name, &format!("NOT ({condition})"), "belongs to the new partition"));
            checked.push((default, name));
        }
    }
    pieces.push(
        Draft::sql(
            Stage::Switch,
            "attach-partition",
            format!("Attaches {} to {}", partition.name, table.name),
            parts::alter_table(table.name, false, alter.command.clone())?,
        )
        .into(),
    );
    for (name, check) in checked {
        pieces.push(
            Draft::sql(
                Stage::Switch,
                "drop-check",
                format!("Drops the check of {name} that the bound has taken the place of"),
                format!("ALTER TABLE {name} DROP CONSTRAINT {}", quote::ident(&check)),
            )
            .into(),
        );
    }
    Some(pieces)
}

/// Whether the change as written reads that table in full.
fn reads(context: &Context<'_>, table: &Name) -> bool {
    context.impact.scans.contains(&Target::Relation(table.clone()))
}

fn check_name(context: &Context<'_>, table: &Name) -> String {
    naming::constraint_name(context.before(), table, "bound", "check")
}

fn check(table: &Name, name: &str, condition: &str, what: &str) -> [Piece; 2] {
    [
        Draft::sql(
            Stage::Expand,
            "add-check",
            format!(
                "Adds a check to {table} that says which row {what}; the rows that are there are not looked at yet"
            ),
            format!("ALTER TABLE {table} ADD CONSTRAINT {} CHECK ({condition}) NOT VALID", quote::ident(name)),
        )
        .into(),
        super::foreign_key::validate_draft(table, name).into(),
    ]
}

/// The indexes and keys that the partition will have and has not.
fn indexes(context: &Context<'_>, partition: Rel<'_>, reached: &Relation) -> Option<Vec<Piece>> {
    let after = context.after()?;
    let mut pieces = Vec::new();
    for (name, relation) in after.relations.referring_to(partition.name) {
        let Some(index) = relation.index.as_ref().filter(|index| index.table == *partition.name) else {
            continue;
        };
        if context.before().relations.contains_key(name) {
            continue;
        }
        pieces.push(Piece::Change(match &index.constraint {
            Some(constraint) => add(partition.name, reached, constraint)?,
            None => index.definition.clone(),
        }));
    }
    Some(pieces)
}

fn foreign_keys(partition: Rel<'_>, reached: &Relation) -> Vec<Piece> {
    let new = reached.constraints.iter().filter(|constraint| {
        matches!(constraint.kind, ConstraintKind::ForeignKey { .. })
            && partition.relation.constraint(&constraint.name).is_none()
    });
    new.filter_map(|constraint| add(partition.name, reached, &constraint.name)).map(Piece::Change).collect()
}

fn add(table: &Name, reached: &Relation, constraint: &str) -> Option<String> {
    let definition = &reached.constraint(constraint)?.definition;
    Some(format!("ALTER TABLE {table} ADD CONSTRAINT {} {definition}", quote::ident(constraint)))
}

/// What every row of the bound meets, as SQL over the partition's row (`get_qual_from_partbound` in partbounds.c);
/// `None` where it cannot be written: the default partition, keys with a collation or an operator class of their own.
fn condition(context: &Context<'_>, table: Rel<'_>, bound: &str) -> Option<String> {
    let (strategy, keys) = key(table.relation)?;
    let spec = bound_spec(bound)?;
    match strategy {
        'l' => list(keys.first()?, &spec),
        'r' => range(&keys, &spec),
        'h' => hash(&keys, &spec, context, table),
        _ => None,
    }
}

/// The strategy and the key's columns and expressions as SQL.
fn key(table: &Relation) -> Option<(char, Vec<String>)> {
    let key = table.partition_key.as_ref()?;
    let NodeEnum::CreateStmt(create) = single(&format!("CREATE TABLE t () PARTITION BY {}", key.definition))?.node
    else {
        return None;
    };
    let parts = create.partspec?.part_params.into_iter().map(|part| match part.node? {
        NodeEnum::PartitionElem(part) if !part.collation.is_empty() || !part.opclass.is_empty() => None,
        NodeEnum::PartitionElem(part) => match part.expr.as_deref() {
            None => Some(quote::ident(&part.name)),
            Some(expression) => Some(format!("({})", render::render_expression(expression)?)),
        },
        _ => None,
    });
    Some((key.strategy, parts.collect::<Option<Vec<_>>>()?))
}

fn bound_spec(bound: &str) -> Option<PartitionBoundSpec> {
    let NodeEnum::AlterTableStmt(alter) = single(&format!("ALTER TABLE t ATTACH PARTITION p {bound}"))?.node else {
        return None;
    };
    let NodeEnum::AlterTableCmd(command) = alter.cmds.into_iter().next()?.node? else {
        return None;
    };
    match command.def?.node? {
        NodeEnum::PartitionCmd(command) => command.bound.filter(|bound| !bound.is_default),
        _ => None,
    }
}

fn list(key: &str, spec: &PartitionBoundSpec) -> Option<String> {
    let is_null = |node: &&Node| matches!(&node.node, Some(NodeEnum::AConst(constant)) if constant.isnull);
    let null = spec.listdatums.iter().any(|node| is_null(&node));
    let values = spec.listdatums.iter().filter(|node| !is_null(node)).map(render::render_expression);
    let values = values.collect::<Option<Vec<_>>>()?.join(", ");
    Some(match (null, values.is_empty()) {
        (true, true) => format!("{key} IS NULL"),
        (true, false) => format!("{key} IS NULL OR {key} IN ({values})"),
        (false, _) => format!("{key} IS NOT NULL AND {key} IN ({values})"),
    })
}

/// One end of a range in one column.
#[derive(Clone, PartialEq)]
enum Datum {
    Least,
    Most,
    Value(String),
}

fn range(keys: &[String], spec: &PartitionBoundSpec) -> Option<String> {
    let lower = spec.lowerdatums.iter().map(datum).collect::<Option<Vec<_>>>()?;
    let upper = spec.upperdatums.iter().map(datum).collect::<Option<Vec<_>>>()?;
    if lower.len() != keys.len() || upper.len() != keys.len() {
        return None;
    }
    let mut all: Vec<String> = keys.iter().map(|key| format!("{key} IS NOT NULL")).collect();
    let equal = |(low, high): &(&Datum, &Datum)| low == high && matches!(low, Datum::Value(_));
    let same = lower.iter().zip(&upper).take_while(equal).count().min(keys.len().saturating_sub(1));
    for (key, datum) in keys.iter().zip(&lower).take(same) {
        if let Datum::Value(value) = datum {
            all.push(format!("{key} = {value}"));
        }
    }
    all.extend(side(keys, &lower, same, true));
    all.extend(side(keys, &upper, same, false));
    Some(all.join(" AND "))
}

/// One end of the range: `a > 1 OR (a = 1 AND b >= 2)`; `None` for an end that is open.
fn side(keys: &[String], datums: &[Datum], start: usize, lower: bool) -> Option<String> {
    let (open, strict, loose) = if lower { (Datum::Least, ">", ">=") } else { (Datum::Most, "<", "<=") };
    let mut arms: Vec<String> = Vec::new();
    for (at, (key, datum)) in keys.iter().zip(datums).enumerate().skip(start) {
        let Datum::Value(value) = datum else { break };
        let next = datums.get(at + 1);
        // The lower end belongs to the range, the upper one does not, unless the rest of it is open.
        let whole = next.map_or(lower, |next| *next == open);
        let mut arm: Vec<String> = Vec::new();
        for (key, datum) in keys.iter().zip(datums).take(at).skip(start) {
            if let Datum::Value(value) = datum {
                arm.push(format!("{key} = {value}"));
            }
        }
        arm.push(format!("{key} {} {value}", if whole { loose } else { strict }));
        arms.push(arm.join(" AND "));
        if next.is_some_and(|next| !matches!(next, Datum::Value(_))) {
            break;
        }
    }
    match arms.as_slice() {
        [] => None,
        [only] if !only.contains(" AND ") => Some(only.clone()),
        _ => Some(format!("({})", arms.iter().map(|arm| format!("({arm})")).collect::<Vec<_>>().join(" OR "))),
    }
}

/// `MINVALUE` and `MAXVALUE` look like columns to the parser.
fn datum(node: &Node) -> Option<Datum> {
    match node.node.as_ref()? {
        NodeEnum::PartitionRangeDatum(datum) => match datum.kind() {
            PartitionRangeDatumKind::PartitionRangeDatumMinvalue => Some(Datum::Least),
            PartitionRangeDatumKind::PartitionRangeDatumMaxvalue => Some(Datum::Most),
            _ => Some(Datum::Value(render::render_expression(datum.value.as_deref()?)?)),
        },
        NodeEnum::ColumnRef(column) => match strings(&column.fields).as_slice() {
            [word] if word == "minvalue" => Some(Datum::Least),
            [word] if word == "maxvalue" => Some(Datum::Most),
            _ => None,
        },
        NodeEnum::AConst(constant) if matches!(constant.val, Some(a_const::Val::Boolval(_))) => None,
        _ => Some(Datum::Value(render::render_expression(node)?)),
    }
}

/// The server's own function over the table's oid, as its partition constraint has it.
fn hash(keys: &[String], spec: &PartitionBoundSpec, context: &Context<'_>, table: Rel<'_>) -> Option<String> {
    let oid = context.before().relations.get(table.name)?.stats.oid;
    (oid != 0).then(|| {
        format!(
            "pg_catalog.satisfies_hash_partition({}::pg_catalog.oid, {}, {}, {})",
            quote::literal(&oid.to_string()),
            spec.modulus,
            spec.remainder,
            keys.join(", ")
        )
    })
}
