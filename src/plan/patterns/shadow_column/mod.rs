//! A type change that would rewrite a large table: a new column beside the old one, which a trigger fills for rows
//! that are written and a backfill for those that are there; the twins of all that hangs on the old column, made while
//! the application goes on; one short transaction in which the two change places; and the old column, kept in step
//! by the trigger turned round, until the contract. A partitioned table goes the same way as a whole, filled leaf by
//! leaf, unless a key is on the column.
//!
//! Traps: views, defaults and keys are bound to the column, not to its name, so a rename alone would leave them with
//! the old one; whatever the simulation does not see arrive where the plain statement leads makes this form give up.
//! The new column stands last. Functions of triggers that ran before hold plans for the old type.

mod conversion;
mod exchange;
mod script;
mod sync;
mod twins;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ColumnDef};

use self::conversion::Conversion;
use self::exchange::{Places, exchange};
use self::script::Script;
use self::sync::Sync;
use super::parts;
use crate::catalog::{Column, ConstraintKind, Name, Persistence, Relation, RelationKind};
use crate::plan::analyze::Rel;
use crate::plan::ddl;
use crate::plan::draft::{Back, Draft, Piece, UndoSource, Work};
use crate::plan::expand::Context;
use crate::plan::model::{Assignment, Backfill, Check, Hazard, HazardId, Stage};
use crate::plan::names;
use crate::sql::quote;

/// As plans show it.
pub(in crate::plan) const NAME: &str = "shadow-column";

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let change = Change::read(context)?;
    let conversion = change.conversion().ok()?;
    change.pieces(&conversion)
}

/// Why a type change that rewrites a large table has no form that lets the application go on, and the way round.
/// `None` for every other statement.
pub(in crate::plan) fn why_not(context: &Context<'_>) -> Option<String> {
    let change = Change::read(context)?;
    let reason = match change.conversion() {
        Err(reason) => reason,
        Ok(_) => "not all that hangs on it can be made anew beside it: drop that first, and make it again afterwards"
            .to_owned(),
    };
    Some(format!(
        "column {} of {} has to be changed in place, while nobody can use the table: {reason}",
        quote::ident(&change.column.name),
        change.table.name
    ))
}

/// A type change that rewrites a large table.
struct Change<'c, 'a> {
    context: &'c Context<'a>,
    table: Rel<'a>,
    /// The table, and its partitions.
    members: Vec<Rel<'a>>,
    column: &'a Column,
    new: &'c Column,
    clause: &'c ColumnDef,
}

impl<'c, 'a> Change<'c, 'a> {
    fn read(context: &'c Context<'a>) -> Option<Self> {
        let NodeEnum::AlterTableStmt(statement) = &context.statement.node else { return None };
        let [only] = statement.cmds.as_slice() else { return None };
        let NodeEnum::AlterTableCmd(command) = only.node.as_ref()? else { return None };
        let table = parts::alter(context)?.table;
        let rewrites = !context.impact.rewrites.is_empty();
        if command.subtype() != AlterTableType::AtAlterColumnType
            || !context.heavy()
            || !rewrites
            || context.private(table.name)
        {
            return None;
        }
        let NodeEnum::ColumnDef(clause) = command.def.as_ref()?.node.as_ref()? else { return None };
        let column = table.relation.column(&command.name)?;
        let new = context.after()?.relations.get(table.name)?.column(&command.name)?;
        let members = context.look.partitions(table);
        Some(Self { context, table, members, column, new, clause })
    }

    /// How values are converted.
    ///
    /// # Errors
    /// What stands in the way of this form, with the way round.
    fn conversion(&self) -> Result<Conversion<'a>, String> {
        let relation = self.table.relation;
        let say = |what: &str| Err(what.to_owned());
        if self.context.own_session {
            return say("settings of the session hold for the statement: leave SET out and qualify the names");
        }
        let partitioned = relation.kind == RelationKind::PartitionedTable;
        if !relation.parents.is_empty() || !partitioned && !self.context.look.children(self.table.name).is_empty() {
            return say("the table has parents or children: take them apart with NO INHERIT first");
        }
        for Rel { name, relation } in &self.members {
            if !relation.kind.is_table() {
                return Err(format!("partition {name} is a foreign table: detach it first"));
            }
            if relation.persistence == Persistence::Temporary || !relation.rules.is_empty() {
                return Err(format!("{name} is temporary or has rules: drop the rules first"));
            }
        }
        if self.column.generated.is_some() {
            return say("the column is generated: add a new one with the type wanted");
        }
        if partitioned {
            self.partitioned()?;
        }
        let catalog = self.context.before();
        let name = &self.column.name;
        let excluding = |constraint: &&crate::catalog::Constraint| {
            constraint.kind == ConstraintKind::Exclusion && constraint.columns.contains(name)
        };
        if let Some(constraint) = relation.constraints.iter().find(excluding) {
            return Err(format!(
                "exclusion constraint {} cannot be made from an index that is there: drop it first, and add it again \
                 when writes can wait",
                quote::ident(&constraint.name)
            ));
        }
        for (index, _, facts) in twins::indexes(catalog, self.table.name, name) {
            if !facts.valid {
                return Err(format!("index {index} is not valid: build it again or drop it first"));
            }
        }
        for (owner, constraint) in twins::foreign_keys(catalog, self.table.name, name) {
            let partitioned =
                catalog.relations.get(owner).is_some_and(|relation| relation.kind == RelationKind::PartitionedTable);
            if partitioned || matches!(constraint.kind, ConstraintKind::ForeignKey { from_parent: true, .. }) {
                return Err(format!(
                    "foreign key {} belongs to the partitioned table {owner}: drop it first, and add it again afterwards",
                    quote::ident(&constraint.name)
                ));
            }
        }
        Conversion::read(self.context, self.table, self.column, self.new, self.clause)
    }

    /// What the server has no short exchange for in a partitioned table.
    fn partitioned(&self) -> Result<(), String> {
        let (catalog, column) = (self.context.before(), &self.column.name);
        let way_round = "make a new partitioned table with the type wanted, fill it, and let the two change names";
        if self.column.identity.is_some() {
            return Err(format!("it is the identity of a partitioned table: {way_round}"));
        }
        for member in &self.members {
            if let Some((index, ..)) = twins::indexes(catalog, member.name, column)
                .into_iter()
                .find(|(_, _, index)| index.constraint.is_some())
            {
                return Err(format!("key {index} of a partitioned table takes no index that is there: {way_round}"));
            }
            if let Some((owner, key)) = twins::foreign_keys(catalog, member.name, column).first() {
                return Err(format!(
                    "foreign key {} of {owner} belongs to the partitioned table {}: drop it first, and add it again \
                     afterwards",
                    quote::ident(&key.name),
                    self.table.name
                ));
            }
        }
        Ok(())
    }

    fn pieces(&self, conversion: &Conversion<'_>) -> Option<Vec<Piece>> {
        let (context, table, name) = (self.context, self.table.name, self.column.name.as_str());
        let (before, after) = (context.before(), context.after()?);
        let members: Vec<Name> = self.members.iter().map(|member| member.name.clone()).collect();
        let mut relations: Vec<&Relation> = self.members.iter().map(|member| member.relation).collect();
        let trigger = names::last_trigger(&relations, name, "sync")?;
        relations.extend(members.iter().filter_map(|member| after.relations.get(member)));
        let (shadow, kept) = (names::column(&relations, name, "new"), names::column(&relations, name, "old"));
        let [quoted, shadow_name, kept_name] = [name, shadow.as_str(), kept.as_str()].map(quote::ident);
        let sync = Sync {
            table,
            trigger,
            function: names::routine(before, table, name, "sync"),
            zone: &before.server.time_zone,
        };
        let forward = sync.forward(conversion, &shadow);
        let backward = sync.backward(conversion, name, name, &kept);
        let plain = |column: &str| quote::ident(column);
        let former = |column: &str| quote::ident(if column == name { &kept } else { column });
        let differs = conversion.differs(&shadow_name, &plain);
        let differs_back = conversion.differs(&quoted, &former);
        // One for each table with rows of its own.
        let rows = |column: &str, expression: &str, filter: &str| -> Vec<(&Name, Backfill)> {
            let leaves = context.look.leaves(self.table).into_iter();
            let of_leaf = leaves.map(|leaf| {
                let backfill = Backfill {
                    schema: leaf.name.schema.clone(),
                    table: leaf.name.name.clone(),
                    key: parts::row_key(context, leaf, true),
                    assignments: vec![Assignment { column: column.to_owned(), expression: expression.to_owned() }],
                    filter: Some(filter.to_owned()),
                    idempotent: true,
                };
                (leaf.name, backfill)
            });
            of_leaf.collect()
        };
        let none_differs = |differs: &str, message: String| Check {
            query: format!("SELECT NOT EXISTS (SELECT FROM {table} WHERE {differs})"),
            message,
        };

        // There.
        let mut script = Script::on(before);
        script.run(format!("ALTER TABLE {table} ADD COLUMN {}", typed(&shadow, self.new)))?;
        script.run_all(forward.clone())?;
        let begun = script.catalog.clone();
        let mut pieces: Vec<Piece> = vec![
            Draft::transaction(
                Stage::Expand,
                "add-column",
                format!("Adds column {shadow_name} of the new type to {table}, and a trigger that fills it"),
                std::mem::take(&mut script.statements),
            )
            .with_hazards(&[], self.published())
            .noted(Some(self.note()))
            .into(),
        ];
        for (leaf, rows) in rows(&shadow, &conversion.value(&plain), &differs) {
            let description = format!("Fills {shadow_name} of {leaf} from {quoted} in batches");
            pieces.push(Draft::backfill(description, rows).into());
        }
        let twins = twins::make(&mut script, &members, (name, &shadow), after)?;
        if self.new.not_null && conversion.may_lose() {
            let query = format!("SELECT NOT EXISTS (SELECT FROM {table} WHERE {shadow_name} IS NULL)");
            let message = format!("the expression gives null for rows of {table}, and {quoted} must not be null");
            let description = format!("Makes sure that no row of {table} is left without a value in {shadow_name}");
            pieces.push(Draft::check(Stage::Validate, "look", description, Check { query, message }).into());
        }
        for making in &twins.makings {
            pieces.push(if making.raw {
                Piece::Change(making.sql.clone())
            } else {
                Draft::sql(making.stage, making.slug, &making.description, &making.sql).into()
            });
        }
        pieces.push(
            Draft::check(
                Stage::Validate,
                "compare",
                format!("Makes sure that {shadow_name} of {table} has the value of every row"),
                none_differs(
                    &differs,
                    format!("rows of {table} have another value in {shadow_name} than their {quoted} converts to"),
                ),
            )
            .into(),
        );
        pieces.push(
            Draft::sql(
                Stage::Validate,
                "analyze",
                format!("Collects statistics of {shadow_name} of {table}"),
                format!("ANALYZE {table} ({shadow_name})"),
            )
            .undone_by(UndoSource::Nothing)
            .into(),
        );
        script.statements.clear();
        let places = Places { members: &members, live: name, shadow: &shadow, kept: &kept };
        exchange(&mut script, &sync, places, &twins, after, backward.clone())?;
        let Script { catalog: switched, statements: switch } = script;

        // And back again.
        let mut back = vec![Back::Work(Work::Check(none_differs(
            &differs_back,
            format!("values of {quoted} of {table} have no equal in {}: change them first", self.column.data_type.sql),
        )))];
        let mut return_script = Script::on(&switched);
        let former_twins = twins::make(&mut return_script, &members, (name, &kept), &begun)?;
        back.extend(
            former_twins
                .makings
                .into_iter()
                .map(|making| if making.raw { Back::Change(making.sql) } else { Back::together(vec![making.sql]) }),
        );
        let former_twins = twins::Twins { makings: Vec::new(), ..former_twins };
        return_script.statements.clear();
        let places = Places { members: &members, live: name, shadow: &kept, kept: &shadow };
        exchange(&mut return_script, &sync, places, &former_twins, &begun, forward)?;
        back.push(Back::together(return_script.statements));
        let lost = conversion.back(&quoted).is_none().then(|| {
            format!(
                "the way back, once {quoted} of {table} is written: its expression has no inverse, and there it stops"
            )
        });
        pieces.push(
            Draft::transaction(
                Stage::Switch,
                "switch-columns",
                format!("Puts {shadow_name} of {table} in the place of {quoted}, with all that hangs on it"),
                switch,
            )
            .guarded(sync.never_off(&members))
            .with_hazards(OF_ONE_NAME, self.dangers())
            .noted(context.around.as_ref().and_then(|around| around.note.clone()))
            .undone_by(UndoSource::Way(back, lost))
            .into(),
        );

        // The end of the old one.
        let contract =
            vec![sync.drop_trigger(), sync.drop_function(), format!("ALTER TABLE {table} DROP COLUMN {kept_name}")];
        let mut script = Script::on(&switched);
        script.run_all(contract.clone())?;
        script.statements.clear();
        script.run(format!("ALTER TABLE {table} ADD COLUMN {}", typed(&kept, self.column)))?;
        // Comment, privileges and the like, which the switch back counts on.
        let mut whole = switched;
        whole.functions.clone_from(&script.catalog.functions);
        for member in &members {
            let own = whole.relations.get_mut(member)?;
            own.triggers.clone_from(&script.catalog.relations.get(member)?.triggers);
        }
        script.run_all(ddl::between(&script.catalog, &whole).statements())?;
        let mut restore = script.statements;
        restore.extend(backward);
        let undo = match conversion.back(&quoted) {
            None => UndoSource::None(format!(
                "the former values of {quoted} of {table} are gone, and its expression has no inverse"
            )),
            Some(value) => {
                let lost = (!conversion.keeps_all())
                    .then(|| format!("what the change of type took from the values of {quoted} of {table}"));
                let filled = rows(&kept, &value, &differs_back).into_iter();
                let mut way = vec![Back::together(restore)];
                way.extend(filled.map(|(_, rows)| Back::Work(Work::Backfill(rows))));
                UndoSource::Way(way, lost)
            }
        };
        pieces.push(
            Draft::transaction(
                Stage::Contract,
                "drop-former",
                format!("Drops the former column of {table}, kept as {kept_name}, and the trigger"),
                contract,
            )
            .with_hazards(OF_ONE_NAME, Vec::new())
            .undone_by(undo)
            .late()
            .into(),
        );
        Some(pieces)
    }

    /// What the author's statement says of clients; how it works is no danger any more.
    fn dangers(&self) -> Vec<Hazard> {
        let of_values = |hazard: &&Hazard| matches!(hazard.id, HazardId::BreaksClients | HazardId::MayFail);
        let around = self.context.around.iter().flat_map(|around| &around.hazards);
        let all = self.context.impact.hazards.iter().filter(of_values).chain(around).cloned();
        let refuses = self.context.impact.hazards.iter().any(|hazard| hazard.id == HazardId::MayFail);
        all.chain(refuses.then(|| self.refuses_writes())).collect()
    }

    /// The trigger converts what is written, and fails where the statement itself would.
    fn refuses_writes(&self) -> Hazard {
        let table = self.table.name;
        let message = format!(
            "from the first step on, writes to {} of {table} that do not fit the new type are refused, until a rollback",
            quote::ident(&self.column.name)
        );
        Hazard::new(HazardId::BreaksClients, Some(table.to_string()), message)
    }

    /// Subscribers stop at a column that they do not have.
    fn published(&self) -> Vec<Hazard> {
        let table = self.table.name;
        let all = self.context.before().publications.iter().filter(|(_, publication)| {
            let listed = publication.columns.iter().any(|column| column.relation == *table);
            !listed
                && (publication.all_tables
                    || publication.tables.contains(table)
                    || publication.schemas.contains(&table.schema))
        });
        all.map(|(name, _)| {
            let message = format!(
                "publication {} sends the new column of {table} beside the old one: a subscriber without it stops \
                 (a column list leaves it out)",
                quote::ident(name)
            );
            Hazard::new(HazardId::BreaksClients, Some(table.to_string()), message)
        })
        .collect()
    }

    fn note(&self) -> String {
        format!(
            "column {} moves to the end of {}: SELECT * and INSERT without a list of columns see it there",
            quote::ident(&self.column.name),
            self.table.name
        )
    }
}

/// Renames and drops under which the name stays what it was.
const OF_ONE_NAME: &[HazardId] = &[HazardId::BreaksClients, HazardId::DataLoss, HazardId::Authorization];

/// Name, type and collation.
fn typed(name: &str, column: &Column) -> String {
    let collation =
        column.collation.as_ref().map_or_else(String::new, |text| format!(" COLLATE {}", ddl::collation_name(text)));
    format!("{} {}{collation}", quote::ident(name), column.data_type.sql)
}
