//! New columns.
//!
//! A default that is the same for every row is stored once by the server, without touching the rows. One that is
//! computed for each row (volatile functions, serial, identity) would rewrite the table: the column comes without
//! values, with the default for new rows in the same statement, and is filled in batches. What stands behind the
//! column's type (NOT NULL, CHECK, UNIQUE, PRIMARY KEY, REFERENCES) becomes a change of its own, for its own
//! pattern. A stored generated column, and a type with constraints (a domain), have no such form on the server.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, ColumnDef, ConstrType, Constraint, DropBehavior, Node};

use super::parts::{self, Alter};
use crate::catalog::expression::strings;
use crate::catalog::{Name, TypeKind};
use crate::plan::ddl::sequence;
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::{Assignment, Backfill, Check, Stage};
use crate::plan::names;
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    if alter.command.subtype() != AlterTableType::AtAddColumn || context.private(alter.table.name) {
        return None;
    }
    let NodeEnum::ColumnDef(definition) = alter.command.def.as_ref()?.node.as_ref()? else {
        return None;
    };
    if alter.command.missing_ok && alter.table.relation.column(&definition.colname).is_some() {
        return Some(Vec::new());
    }
    let parts = Parts::read(definition)?;
    let joins_live_table = parts.others.iter().any(|constraint| {
        constraint.contype() == ConstrType::ConstrForeign
            && constraint
                .pktable
                .as_ref()
                .and_then(|range| context.look.relation(range))
                .is_some_and(|referenced| referenced.name != alter.table.name && !context.private(referenced.name))
    });
    if !context.heavy() && !joins_live_table {
        return None;
    }
    let column = Column { context, alter: &alter, definition, parts: &parts };
    let mut pieces = column.with_instant_default().or_else(|| column.with_filled_values())?;
    for constraint in &parts.others {
        let own = table_constraint(constraint, &definition.colname);
        pieces.push(Piece::Change(parts::add_constraint(alter.table.name, alter.only, own)?));
    }
    Some(pieces)
}

/// A column definition taken apart.
struct Parts {
    default: Option<Node>,
    not_null: Option<Constraint>,
    identity: Option<Constraint>,
    /// Parts of the column that stay with it: a virtual generated expression.
    kept: Vec<Node>,
    /// Constraints that can be added afterwards.
    others: Vec<Constraint>,
}

impl Parts {
    fn read(definition: &ColumnDef) -> Option<Self> {
        use ConstrType as T;
        let mut parts = Self { default: None, not_null: None, identity: None, kept: Vec::new(), others: Vec::new() };
        for node in &definition.constraints {
            let NodeEnum::Constraint(constraint) = node.node.as_ref()? else {
                return None;
            };
            match constraint.contype() {
                T::ConstrNull => {}
                T::ConstrNotnull => parts.not_null = Some(constraint.as_ref().clone()),
                T::ConstrDefault => parts.default = Some(constraint.raw_expr.as_deref()?.clone()),
                T::ConstrIdentity => parts.identity = Some(constraint.as_ref().clone()),
                // `v` is virtual: nothing is stored.
                T::ConstrGenerated if constraint.generated_kind == "v" => parts.kept.push(node.clone()),
                T::ConstrCheck | T::ConstrUnique | T::ConstrPrimary | T::ConstrForeign => {
                    parts.others.push(constraint.as_ref().clone());
                }
                kind => attribute(parts.others.last_mut()?, kind)?,
            }
        }
        Some(parts)
    }
}

/// `DEFERRABLE` and the like stand behind the constraint as nodes of their own in a column definition, and are
/// fields of it in a table constraint.
fn attribute(constraint: &mut Constraint, kind: ConstrType) -> Option<()> {
    match kind {
        ConstrType::ConstrAttrDeferrable => constraint.deferrable = true,
        ConstrType::ConstrAttrDeferred => {
            constraint.deferrable = true;
            constraint.initdeferred = true;
        }
        ConstrType::ConstrAttrNotDeferrable | ConstrType::ConstrAttrImmediate | ConstrType::ConstrAttrEnforced => {}
        ConstrType::ConstrAttrNotEnforced => {
            constraint.is_enforced = false;
            constraint.skip_validation = true;
            constraint.initially_valid = false;
        }
        _ => return None,
    }
    Some(())
}

fn table_constraint(constraint: &Constraint, column: &str) -> Constraint {
    let mut constraint = constraint.clone();
    match constraint.contype() {
        ConstrType::ConstrUnique | ConstrType::ConstrPrimary => constraint.keys = vec![parts::string(column)],
        ConstrType::ConstrForeign => constraint.fk_attrs = vec![parts::string(column)],
        _ => {}
    }
    constraint
}

struct Column<'c, 'a> {
    context: &'c Context<'a>,
    alter: &'c Alter<'a>,
    definition: &'c ColumnDef,
    parts: &'c Parts,
}

impl Column<'_, '_> {
    fn table(&self) -> &Name {
        self.alter.table.name
    }

    fn quoted(&self) -> String {
        quote::ident(&self.definition.colname)
    }

    fn described(&self) -> String {
        format!("Adds column {} to {}", self.quoted(), self.table())
    }

    /// `ADD COLUMN` with only these constraints.
    fn add(&self, constraints: Vec<Node>) -> AlterTableCmd {
        let mut definition = self.definition.clone();
        definition.constraints = constraints;
        let mut command = self.alter.command.clone();
        command.missing_ok = false;
        command.def = Some(Box::new(parts::node(NodeEnum::ColumnDef(Box::new(definition)))));
        command
    }

    fn alter(&self, commands: Vec<AlterTableCmd>) -> Option<String> {
        parts::alter_table_of(self.table(), self.alter.only, commands)
    }

    /// One statement, when the server needs no look at the rows for it.
    fn with_instant_default(&self) -> Option<Vec<Piece>> {
        if self.parts.identity.is_some() || serial(self.definition).is_some() {
            return None;
        }
        let keep = |node: &&Node| match &node.node {
            Some(NodeEnum::Constraint(constraint)) => match constraint.contype() {
                ConstrType::ConstrDefault => true,
                ConstrType::ConstrNotnull => self.parts.default.is_some(),
                _ => self.parts.kept.contains(node),
            },
            _ => false,
        };
        let constraints = self.definition.constraints.iter().filter(keep).cloned().collect();
        let sql = self.alter(vec![self.add(constraints)])?;
        if self.context.heavy_statement(&sql) {
            return None;
        }
        let mut pieces: Vec<Piece> = self.no_rows().into_iter().map(Piece::from).collect();
        pieces.push(Draft::sql(Stage::Expand, "add-column", self.described(), sql).into());
        if self.parts.default.is_none() {
            pieces.extend(self.not_null());
        }
        Some(pieces)
    }

    /// A column that may not be null, and has no value for the rows that are there: there must be none.
    fn no_rows(&self) -> Option<Draft> {
        let after = self.context.after()?;
        let data_type = &after.relations.get(self.table())?.column(&self.definition.colname)?.data_type.name;
        // A domain may have a default.
        let is_domain = after.types.get(data_type).is_some_and(|found| matches!(found.kind, TypeKind::Domain { .. }));
        let is_key = |constraint: &Constraint| constraint.contype() == ConstrType::ConstrPrimary;
        let parts = self.parts;
        let must = parts.not_null.is_some() || parts.others.iter().any(is_key);
        if !must || parts.default.is_some() || !parts.kept.is_empty() || is_domain {
            return None;
        }
        let only = if self.alter.only { "ONLY " } else { "" };
        let (table, column) = (self.table(), self.quoted());
        Some(Draft::check(
            Stage::Expand,
            Draft::CHECK_ROWS,
            format!("Makes sure that {table} has no rows, for which {column} would have no value"),
            Check {
                query: format!("SELECT NOT EXISTS (SELECT FROM {only}{table})"),
                message: format!(
                    "{table} has rows, for which the new column {column} has no value: give it a default, or add it \
                     without NOT NULL and fill it first"
                ),
            },
        ))
    }

    fn with_filled_values(&self) -> Option<Vec<Piece>> {
        if let Some(identity) = &self.parts.identity {
            return self.with_identity(identity);
        }
        if let Some(data_type) = serial(self.definition) {
            return self.with_serial(data_type);
        }
        let default = self.parts.default.as_ref()?;
        let sql = self.alter(vec![self.add(self.parts.kept.clone()), self.set_default(default.clone())])?;
        if self.context.heavy_statement(&sql) {
            return None;
        }
        let described = format!("{} without values; new rows get its default", self.described());
        let mut pieces = vec![Draft::sql(Stage::Expand, "add-column", described, sql).into()];
        let expression = if self.context.own_session {
            // As the catalog prints it, it means the same in every session.
            let after = self.context.after()?.relations.get(self.table())?;
            after.column(&self.definition.colname)?.default.clone()?
        } else {
            render::render_expression(default)?
        };
        pieces.extend(self.fill(&expression));
        pieces.extend(self.not_null());
        Some(pieces)
    }

    fn set_default(&self, expression: Node) -> AlterTableCmd {
        AlterTableCmd {
            subtype: AlterTableType::AtColumnDefault.into(),
            name: self.definition.colname.clone(),
            def: Some(Box::new(expression)),
            behavior: DropBehavior::DropRestrict.into(),
            ..AlterTableCmd::default()
        }
    }

    /// One backfill for each table with rows of its own.
    fn fill(&self, expression: &str) -> Vec<Piece> {
        let column = &self.definition.colname;
        self.context
            .look
            .leaves(self.alter.table)
            .into_iter()
            .map(|leaf| {
                let backfill = Backfill {
                    schema: leaf.name.schema.clone(),
                    table: leaf.name.name.clone(),
                    key: parts::row_key(self.context, leaf, true),
                    assignments: vec![Assignment { column: column.clone(), expression: expression.to_owned() }],
                    filter: Some(format!("{} IS NULL", self.quoted())),
                    idempotent: true,
                };
                let described = format!("Fills {} of {} in batches", self.quoted(), leaf.name);
                Draft::backfill(described, backfill).into()
            })
            .collect()
    }

    fn not_null(&self) -> Option<Piece> {
        let constraint = self.parts.not_null.as_ref();
        let implied = self.parts.identity.is_some() || serial(self.definition).is_some();
        if constraint.is_none() && !implied {
            return None;
        }
        let prefix = parts::alter_prefix(self.table(), self.alter.only);
        let name = constraint.map_or("", |constraint| constraint.conname.as_str());
        // Before 18 the name of a not-null constraint was read and forgotten.
        if name.is_empty() || self.context.major() < 18 {
            return Some(Piece::Change(format!("{prefix} ALTER COLUMN {} SET NOT NULL", self.quoted())));
        }
        Some(Piece::Change(format!("{prefix} ADD CONSTRAINT {} NOT NULL {}", quote::ident(name), self.quoted())))
    }

    fn with_serial(&self, data_type: &str) -> Option<Vec<Piece>> {
        let after = self.context.after()?.relations.get(self.table())?;
        let sequence = after.column(&self.definition.colname)?.owned_sequence.clone()?;
        let next = next_value(&sequence);
        let prefix = parts::alter_prefix(self.table(), self.alter.only);
        let column = self.quoted();
        let statements = vec![
            format!("{prefix} ADD COLUMN {column} {data_type}"),
            format!("CREATE SEQUENCE {sequence} AS {data_type} OWNED BY {}.{column}", self.table()),
            format!("{prefix} ALTER COLUMN {column} SET DEFAULT {next}"),
        ];
        let described = format!("{} with its sequence and without values; new rows get theirs", self.described());
        let mut pieces: Vec<Piece> =
            vec![Draft::transaction(Stage::Expand, "add-column", described, statements).into()];
        pieces.extend(self.fill(&next));
        pieces.extend(self.not_null());
        Some(pieces)
    }

    /// The values come from a sequence of the plan's own; when every row has one, the identity takes over in one
    /// short transaction and goes on counting where it stopped.
    fn with_identity(&self, identity: &Constraint) -> Option<Vec<Piece>> {
        let after = self.context.after()?;
        let column = after.relations.get(self.table())?.column(&self.definition.colname)?;
        let sequence = column.owned_sequence.clone()?;
        let facts = after.relations.get(&sequence)?.sequence.clone()?;
        let interim = names::relation(after, self.table(), &column.name, "backfill_seq");
        let next = next_value(&interim);
        let prefix = parts::alter_prefix(self.table(), self.alter.only);
        let quoted = self.quoted();
        let statements = vec![
            self.alter(vec![self.add(Vec::new())])?,
            format!("CREATE SEQUENCE {interim}{} OWNED BY {}.{quoted}", sequence::options(&facts), self.table()),
            format!("{prefix} ALTER COLUMN {quoted} SET DEFAULT {next}"),
        ];
        let described = format!("{} without values; new rows get theirs from an interim sequence", self.described());
        let mut pieces: Vec<Piece> =
            vec![Draft::transaction(Stage::Expand, "add-column", described, statements).into()];
        pieces.extend(self.fill(&next));
        pieces.extend(self.not_null());
        let mut add = AlterTableCmd {
            subtype: AlterTableType::AtAddIdentity.into(),
            name: column.name.clone(),
            behavior: DropBehavior::DropRestrict.into(),
            ..AlterTableCmd::default()
        };
        add.def = Some(Box::new(parts::node(NodeEnum::Constraint(Box::new(identity.clone())))));
        let switch = vec![
            format!("{prefix} ALTER COLUMN {quoted} DROP DEFAULT"),
            self.alter(vec![add])?,
            format!(
                "SELECT pg_catalog.setval({}, interim.last_value, interim.is_called) FROM {interim} AS interim",
                quote::literal(&sequence.to_string())
            ),
            format!("DROP SEQUENCE {interim}"),
        ];
        pieces.push(
            Draft::transaction(
                Stage::Switch,
                "add-identity",
                format!("Makes {quoted} of {} an identity column that goes on counting", self.table()),
                switch,
            )
            .into(),
        );
        Some(pieces)
    }
}

fn next_value(sequence: &Name) -> String {
    format!("nextval({}::regclass)", quote::literal(&sequence.to_string()))
}

/// The integer type behind `serial` and its kin (`transformColumnDefinition`: the unqualified names only).
fn serial(definition: &ColumnDef) -> Option<&'static str> {
    let type_name = definition.type_name.as_ref()?;
    match strings(&type_name.names).as_slice() {
        [only] => match only.as_str() {
            "smallserial" | "serial2" => Some("smallint"),
            "serial" | "serial4" => Some("integer"),
            "bigserial" | "serial8" => Some("bigint"),
            _ => None,
        },
        _ => None,
    }
}
