//! The switch: in one transaction the two columns change places, and so does what hangs on them.

use super::script::Script;
use super::sync::Sync;
use super::twins::{Twins, checks, foreign_keys, indexes, not_null};
use crate::catalog::{Catalog, Column, ConstraintKind, Name, ReplicaIdentity};
use crate::plan::ddl;
use crate::plan::equivalent::equivalent_in_any_order;
use crate::plan::names;
use crate::plan::obstacles::{Obstacle, on_columns};
use crate::sql::quote;

/// The columns of a switch.
#[derive(Clone, Copy)]
pub(super) struct Places<'n> {
    /// The table, and its partitions.
    pub members: &'n [Name],
    /// The name in use, before and after.
    pub live: &'n str,
    /// The name of the column that takes the place.
    pub shadow: &'n str,
    /// The name that the former column gets.
    pub kept: &'n str,
}

/// Runs the switch; all but the former column is then as in `wanted`. `flipped` makes the trigger anew. `None` when
/// it cannot be made so.
pub(super) fn exchange(
    script: &mut Script,
    sync: &Sync<'_>,
    places: Places<'_>,
    twins: &Twins,
    wanted: &Catalog,
    flipped: Vec<String>,
) -> Option<()> {
    let Places { members, live, shadow, kept } = places;
    let table = sync.table;
    let [live_name, shadow_name, kept_name] = [live, shadow, kept].map(quote::ident);
    let before = script.catalog.clone();
    let relation = before.relations.get(table)?;
    let former = relation.column(live)?;
    let columns: Vec<(Name, String)> = members.iter().map(|member| (member.clone(), live.to_owned())).collect();
    let users = on_columns(&before, &columns);
    if users.others {
        return None;
    }
    let own = Obstacle::Trigger(table.clone(), sync.trigger.clone());
    for obstacle in users.obstacles.iter().filter(|obstacle| **obstacle != own) {
        script.run(obstacle.drop())?;
    }
    script.run(sync.drop_trigger())?;
    for (owner, constraint) in foreign_keys(&before, table, live) {
        script.run(format!("ALTER TABLE {owner} DROP CONSTRAINT {}", quote::ident(&constraint.name)))?;
    }
    for member in members {
        for check in checks(before.relations.get(member)?, live).into_iter().filter(|check| check.inherited == 0) {
            script.run(format!("ALTER TABLE {member} DROP CONSTRAINT {}", quote::ident(&check.name)))?;
        }
    }
    // The parts of a partitioned one go with it.
    let of_members = members.iter().flat_map(|member| indexes(&before, member, live));
    for (name, _, index) in of_members.filter(|(_, _, index)| index.parent.is_none()) {
        match &index.constraint {
            Some(constraint) => {
                script.run(format!("ALTER TABLE {table} DROP CONSTRAINT {}", quote::ident(constraint)))?;
            }
            None => script.run(format!("DROP INDEX {name}"))?,
        }
    }
    for member in members {
        if script.catalog.relations.get(member)?.column(live)?.default.is_some() {
            script.run(format!("ALTER TABLE {member} ALTER COLUMN {live_name} DROP DEFAULT"))?;
        }
    }
    script.run(format!("ALTER TABLE {table} RENAME COLUMN {live_name} TO {kept_name}"))?;
    script.run(format!("ALTER TABLE {table} RENAME COLUMN {shadow_name} TO {live_name}"))?;
    identity(script, table, former, &kept_name, wanted)?;
    for member in members {
        if script.catalog.relations.get(member)?.column(kept)?.not_null {
            script.run(format!("ALTER TABLE {member} ALTER COLUMN {kept_name} DROP NOT NULL"))?;
        }
    }
    take_names(script, table, live, twins, wanted)?;
    let goal = goal(&script.catalog, (members, kept), sync, wanted)?;
    let facts = ddl::between(&script.catalog, &goal);
    if !facts.gaps.is_empty() || !facts.lost.is_empty() {
        return None;
    }
    script.run_all(facts.statements())?;
    // It went with the former index.
    if let ReplicaIdentity::Index(index) = &goal.relations.get(table)?.replica_identity
        && twins.indexes.iter().any(|(_, name, _)| name.name == *index)
    {
        script.run(format!("ALTER TABLE {table} REPLICA IDENTITY USING INDEX {}", quote::ident(index)))?;
    }
    if !equivalent_in_any_order(&script.catalog, &self::goal(&script.catalog, (members, kept), sync, wanted)?) {
        return None;
    }
    for member in members {
        recompile(script, member)?;
    }
    script.run_all(flipped)
}

/// A sequence cannot move from one identity column to another: the new one goes on where the old one is. Its lock
/// keeps others from taking numbers in between.
fn identity(script: &mut Script, table: &Name, former: &Column, kept: &str, wanted: &Catalog) -> Option<()> {
    let new = wanted.relations.get(table)?.column(&former.name)?;
    let (Some(_), Some(kind)) = (former.identity, new.identity) else {
        return (former.identity == new.identity).then_some(());
    };
    let sequence = former.owned_sequence.as_ref()?;
    let aside = names::relation(&script.catalog, sequence, "old", "seq");
    let live = quote::ident(&new.name);
    script.run(format!("ALTER SEQUENCE {sequence} RENAME TO {}", quote::ident(&aside.name)))?;
    script.run(format!("ALTER TABLE {table} ALTER COLUMN {live} ADD {}", ddl::identity_clause(wanted, new, kind)))?;
    let name = quote::literal(&new.owned_sequence.as_ref()?.to_string());
    script.run(format!("SELECT pg_catalog.setval({name}, last_value, is_called) FROM {aside}"))?;
    script.run(format!("ALTER TABLE {table} ALTER COLUMN {kept} DROP IDENTITY"))
}

/// Twins take the names of what they stand for.
fn take_names(script: &mut Script, table: &Name, live: &str, twins: &Twins, wanted: &Catalog) -> Option<()> {
    for (twin, name, constraint) in &twins.indexes {
        let Some(constraint) = constraint else {
            script.run(format!("ALTER INDEX {twin} RENAME TO {}", quote::ident(&name.name)))?;
            continue;
        };
        let kind = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
        let deferred = match (constraint.deferrable, constraint.initially_deferred) {
            (_, true) => " DEFERRABLE INITIALLY DEFERRED",
            (true, false) => " DEFERRABLE",
            _ => "",
        };
        script.run(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {} {kind} USING INDEX {}{deferred}",
            quote::ident(&constraint.name),
            quote::ident(&twin.name)
        ))?;
    }
    for (owner, twin, name) in &twins.constraints {
        script.run(format!(
            "ALTER TABLE {owner} RENAME CONSTRAINT {} TO {}",
            quote::ident(twin),
            quote::ident(name)
        ))?;
    }
    let own = not_null(script.catalog.relations.get(table)?, live).map(|constraint| constraint.name.clone());
    if let (Some(own), Some(name)) = (own, not_null(wanted.relations.get(table)?, live))
        && own != name.name
    {
        let (own, name) = (quote::ident(&own), quote::ident(&name.name));
        script.run(format!("ALTER TABLE {table} RENAME CONSTRAINT {own} TO {name}"))?;
    }
    Some(())
}

/// The wanted catalog with the former column and without the trigger.
fn goal(reached: &Catalog, (members, kept): (&[Name], &str), sync: &Sync<'_>, wanted: &Catalog) -> Option<Catalog> {
    let mut goal = wanted.clone();
    goal.functions.clone_from(&reached.functions);
    for member in members {
        let own = reached.relations.get(member)?;
        let relation = goal.relations.get_mut(member)?;
        relation.triggers.retain(|trigger| trigger.name != sync.trigger);
        relation.columns.retain(|column| column.name != kept);
        relation.columns.push(own.column(kept)?.clone());
    }
    Some(goal)
}

/// Functions of triggers hold plans for the former type of the column, in every session that has run them: a new
/// version of their entry lets these go.
fn recompile(script: &mut Script, table: &Name) -> Option<()> {
    let relation = script.catalog.relations.get(table)?;
    let owner = relation.owner.clone();
    let mut functions: Vec<Name> = relation.triggers.iter().map(|trigger| trigger.function.clone()).collect();
    functions.sort();
    functions.dedup();
    for name in functions {
        let known = script.catalog.functions.iter().find(|function| function.name == name);
        let Some(known) = known.filter(|known| known.language == "plpgsql" && known.owner == owner) else { continue };
        let volatility = match known.volatility {
            'i' => "IMMUTABLE",
            's' => "STABLE",
            _ => "VOLATILE",
        };
        script.run(format!("ALTER FUNCTION {name}() {volatility}"))?;
    }
    Some(())
}
