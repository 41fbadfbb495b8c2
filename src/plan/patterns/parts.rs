//! Pieces of parse trees that several patterns read or write.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, ConstrType, Constraint, DropBehavior, IndexElem, IndexStmt, Node,
    ObjectType, RangeVar, SortByDir, SortByNulls, String as PgString,
};

use crate::catalog::expression::strings;
use crate::catalog::{self, Name, Relation};
use crate::plan::analyze::{Lookup, Rel};
use crate::plan::draft::{Draft, Work};
use crate::plan::expand::Context;
use crate::plan::model::HazardId;
use crate::sql::{quote, render};

/// An `ALTER TABLE` with one subcommand on a table that the catalog knows.
pub(super) struct Alter<'a> {
    /// The table.
    pub table: Rel<'a>,
    /// `ONLY` was written.
    pub only: bool,
    /// The subcommand.
    pub command: &'a AlterTableCmd,
}

impl Alter<'_> {
    /// The constraint of an `ADD CONSTRAINT`.
    pub fn constraint(&self, kind: ConstrType) -> Option<&Constraint> {
        if self.command.subtype() != AlterTableType::AtAddConstraint {
            return None;
        }
        match self.command.def.as_ref()?.node.as_ref()? {
            NodeEnum::Constraint(constraint) if constraint.contype() == kind => Some(constraint),
            _ => None,
        }
    }
}

/// The draft of the change itself, with what stands in its way taken out of it and made again in the same transaction.
pub(super) fn wrapped(context: &Context<'_>, mut draft: Draft) -> Draft {
    let (Some(around), Work::Sql(statements)) = (&context.around, &mut draft.work) else { return draft };
    *statements = around.wrap(std::mem::take(statements));
    // Of the statements one by one what is dropped is gone, and what is made again is new.
    let breaks = context.impact.hazards.iter().filter(|hazard| hazard.id == HazardId::BreaksClients);
    let hazards = breaks.chain(&around.hazards).cloned().collect();
    draft.with_hazards(&[HazardId::BreaksClients, HazardId::Authorization], hazards).noted(around.note.clone())
}

/// The statement as an [`Alter`], when it is one.
pub(super) fn alter<'a>(context: &Context<'a>) -> Option<Alter<'a>> {
    let statement = alter_statement(context)?;
    let [only] = statement.cmds.as_slice() else {
        return None;
    };
    let NodeEnum::AlterTableCmd(command) = only.node.as_ref()? else {
        return None;
    };
    let range = statement.relation.as_ref()?;
    let table = table(context, range)?;
    Some(Alter { table, only: !range.inh, command })
}

/// The statement as an `ALTER TABLE` on a table.
pub(super) fn alter_statement<'a>(context: &Context<'a>) -> Option<&'a AlterTableStmt> {
    match &context.statement.node {
        NodeEnum::AlterTableStmt(statement) if statement.objtype() == ObjectType::ObjectTable => Some(statement),
        _ => None,
    }
}

/// The table that the name stands for; `None` for anything that is no table.
pub(super) fn table<'a>(context: &Context<'a>, range: &RangeVar) -> Option<Rel<'a>> {
    match context.look.lookup(range) {
        Lookup::Found(found) if found.relation.kind.is_table() => Some(found),
        _ => None,
    }
}

/// `ALTER TABLE` of that subcommand on the qualified table.
pub(super) fn alter_table(table: &Name, only: bool, command: AlterTableCmd) -> Option<String> {
    alter_table_of(table, only, vec![command])
}

/// `ALTER TABLE` of several subcommands on the qualified table.
pub(super) fn alter_table_of(table: &Name, only: bool, commands: Vec<AlterTableCmd>) -> Option<String> {
    let statement = AlterTableStmt {
        relation: Some(range(table, only)),
        cmds: commands.into_iter().map(|command| node(NodeEnum::AlterTableCmd(Box::new(command)))).collect(),
        objtype: ObjectType::ObjectTable.into(),
        missing_ok: false,
    };
    render::render(&NodeEnum::AlterTableStmt(statement))
}

/// `ALTER TABLE ... ADD CONSTRAINT` on the qualified table.
pub(super) fn add_constraint(table: &Name, only: bool, constraint: Constraint) -> Option<String> {
    let command = AlterTableCmd {
        subtype: AlterTableType::AtAddConstraint.into(),
        def: Some(Box::new(node(NodeEnum::Constraint(Box::new(constraint))))),
        behavior: DropBehavior::DropRestrict.into(),
        ..AlterTableCmd::default()
    };
    alter_table(table, only, command)
}

/// The same constraint under that name, and not checked against the rows that are there.
pub(super) fn not_valid(constraint: &Constraint, name: &str) -> Constraint {
    let mut constraint = constraint.clone();
    name.clone_into(&mut constraint.conname);
    constraint.skip_validation = true;
    constraint.initially_valid = false;
    constraint
}

/// `VALIDATE CONSTRAINT` as text.
pub(super) fn validate(table: &Name, constraint: &str) -> String {
    format!("ALTER TABLE {table} VALIDATE CONSTRAINT {}", quote::ident(constraint))
}

/// `ALTER TABLE`, with `ONLY` when it was written.
pub(super) fn alter_prefix(table: &Name, only: bool) -> String {
    if only { format!("ALTER TABLE ONLY {table}") } else { format!("ALTER TABLE {table}") }
}

/// A qualified range variable as the parser makes it.
pub(super) fn range(name: &Name, only: bool) -> RangeVar {
    RangeVar {
        schemaname: name.schema.clone(),
        relname: name.name.clone(),
        inh: !only,
        relpersistence: "p".to_owned(),
        ..RangeVar::default()
    }
}

/// Wraps a node.
pub(super) fn node(inner: NodeEnum) -> Node {
    Node { node: Some(inner) }
}

/// A name in a list of names.
pub(super) fn string(text: &str) -> Node {
    node(NodeEnum::String(PgString { sval: text.to_owned() }))
}

/// A plain column as an index key.
pub(super) fn index_column(column: &str) -> Node {
    node(NodeEnum::IndexElem(Box::new(IndexElem {
        name: column.to_owned(),
        ordering: SortByDir::SortbyDefault.into(),
        nulls_ordering: SortByNulls::SortbyNullsDefault.into(),
        ..IndexElem::default()
    })))
}

/// The index behind a unique constraint or primary key, built concurrently. Its name is still to be given.
pub(super) fn key_index(constraint: &Constraint, table: &Name) -> IndexStmt {
    let columns = |list: &[Node]| strings(list).iter().map(|column| index_column(column)).collect();
    IndexStmt {
        relation: Some(range(table, false)),
        access_method: "btree".to_owned(),
        table_space: constraint.indexspace.clone(),
        index_params: columns(&constraint.keys),
        index_including_params: columns(&constraint.including),
        options: constraint.options.clone(),
        unique: true,
        nulls_not_distinct: constraint.nulls_not_distinct,
        concurrent: true,
        ..IndexStmt::default()
    }
}

/// The same constraint under that name, on an index that is there.
pub(super) fn using_index(constraint: &Constraint, name: &str, index: &Name) -> Constraint {
    let mut using = constraint.clone();
    name.clone_into(&mut using.conname);
    using.indexname.clone_from(&index.name);
    using.indexspace = String::new();
    using.nulls_not_distinct = false;
    using.keys.clear();
    using.including.clear();
    using.options.clear();
    using
}

/// The constraint that `after` has and `before` has not, of the kind that `wanted` accepts.
pub(super) fn new_constraint<'c>(
    before: &Relation,
    after: &'c Relation,
    wanted: impl Fn(&catalog::ConstraintKind) -> bool,
) -> Option<&'c catalog::Constraint> {
    let mut new = after
        .constraints
        .iter()
        .filter(|constraint| wanted(&constraint.kind) && before.constraint(&constraint.name).is_none());
    let first = new.next()?;
    new.next().is_none().then_some(first)
}

/// Columns that order the rows of a table for batches: its primary key, or a unique index over columns that are
/// never null. Empty when there is none, and when its values are random (uuid) and block order will do as well:
/// by key every batch would then touch pages all over the table.
pub(super) fn row_key(context: &Context<'_>, table: Rel<'_>, block_order_will_do: bool) -> Vec<String> {
    let columns = |index: &catalog::Index| -> Option<Vec<String>> {
        let usable =
            index.unique && index.valid && index.immediate && index.predicate.is_none() && index.method == "btree";
        let columns: Vec<String> = index.keys.iter().map(|key| key.column.clone()).collect::<Option<_>>()?;
        let known = columns.iter().all(|column| table.relation.column(column).is_some_and(|column| column.not_null));
        (usable && known).then_some(columns)
    };
    let mut keys: Vec<(bool, usize, Vec<String>)> = context
        .look
        .indexes(table.name)
        .iter()
        .filter_map(|index| index.relation.index.as_ref())
        .filter_map(|index| columns(index).map(|columns| (!index.primary, columns.len(), columns)))
        .collect();
    keys.sort();
    let Some((_, _, key)) = keys.into_iter().next() else {
        return Vec::new();
    };
    let random = key
        .first()
        .and_then(|column| table.relation.column(column))
        .is_some_and(|column| column.data_type.name.schema == "pg_catalog" && column.data_type.name.name == "uuid");
    if random && block_order_will_do { Vec::new() } else { key }
}
