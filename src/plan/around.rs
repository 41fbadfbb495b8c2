//! A change of column types with what stands in its way: taken away in the transaction of the change, and made again
//! behind it, so that nobody ever misses it.
//!
//! What the author leaves in the way is made again as it was, with its owner, privileges, options and comments; what
//! the author takes away and makes again beside the change moves into the same transaction.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ObjectType};

use super::analyze::{Lookup, Resolver, TransactionRule, analyze};
use super::created::Created;
use super::ddl;
use super::equivalent::{equivalent, privileges};
use super::expand::work;
use super::model::{Hazard, HazardId};
use super::obstacles::{self, Obstacle, on_columns};
use crate::catalog::{Catalog, Name, Relation};
use crate::sql::Statement;

/// What runs around a change in its transaction.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// Before it.
    pub drops: Vec<String>,
    /// Behind it.
    pub creates: Vec<String>,
    /// The catalog that the change finds.
    pub clear: Catalog,
    /// The catalog behind it all.
    pub after: Catalog,
    /// What is locked without being named, and what does not come back.
    pub hazards: Vec<Hazard>,
    /// A remark for people.
    pub note: Option<String>,
    written: Option<Written>,
}

/// The author's own statements.
#[derive(Clone, Debug)]
struct Written {
    drops: Vec<Statement>,
    creates: Vec<Statement>,
}

/// Columns whose type the statement changes, with their tables.
pub(super) fn retyped(statement: &Statement, catalog: &Catalog) -> Vec<(Name, String)> {
    let NodeEnum::AlterTableStmt(alter) = &statement.node else { return Vec::new() };
    let (ObjectType::ObjectTable, Some(range)) = (alter.objtype(), &alter.relation) else { return Vec::new() };
    let resolver = Resolver::new(catalog);
    let Lookup::Found(table) = resolver.lookup(range) else { return Vec::new() };
    let columns = alter.cmds.iter().filter_map(|command| match command.node.as_ref()? {
        NodeEnum::AlterTableCmd(command) if command.subtype() == AlterTableType::AtAlterColumnType => {
            Some(&command.name)
        }
        _ => None,
    });
    let of_tree = |column: &String| -> Vec<(Name, String)> {
        resolver.tree(table).into_iter().map(|member| (member.name.clone(), column.clone())).collect()
    };
    columns.flat_map(of_tree).collect()
}

impl Around {
    /// For a change that the server would refuse because of what uses its columns; `None` when there is another reason.
    /// Nothing of it reads more than `limit` bytes.
    ///
    /// # Errors
    /// What cannot be made again, and why.
    pub fn found(catalog: &Catalog, statement: &Statement, limit: i64) -> Result<Option<Self>, String> {
        let users = on_columns(catalog, &retyped(statement, catalog));
        if users.obstacles.is_empty() || users.others {
            return Ok(None);
        }
        let clear = obstacles::clear(catalog, &users.obstacles)?;
        let Some(altered) = behind(&clear, statement) else { return Ok(None) };
        let (creates, after) = again(catalog, &clear, altered, limit)?;
        let table = retyped(statement, catalog).into_iter().next().map(|(table, _)| table);
        let hazards = users
            .obstacles
            .iter()
            .filter(|obstacle| Some(obstacle.relation()) != table.as_ref())
            .map(|obstacle| {
                let message = format!(
                    "{} is dropped and made again around the change of type: nobody can use {} for that moment",
                    obstacle.describe(),
                    obstacle.relation()
                );
                Hazard::new(HazardId::HiddenLock, Some(obstacle.relation().to_string()), message)
            })
            .collect();
        let list: Vec<String> = users.obstacles.iter().map(Obstacle::describe).collect();
        let note =
            Some(format!("dropped and made again in the transaction of the change of type: {}", list.join(", ")));
        let drops = users.obstacles.iter().map(Obstacle::drop).collect();
        Ok(Some(Self { drops, creates, clear, after, hazards, note, written: None }))
    }

    /// With the author's own statements around the change; `None` when that cannot be in one transaction, or reads more
    /// than `limit` bytes in it.
    pub fn written(
        catalog: &Catalog,
        drops: &[&Statement],
        statement: &Statement,
        creates: &[&Statement],
        limit: i64,
    ) -> Option<Self> {
        let mut clear = catalog.clone();
        let mut hazards = Vec::new();
        for drop in drops {
            hazards.extend(analyze(drop, &clear).hazards);
            clear = light(&clear, drop, limit)?;
        }
        let mut after = behind(&clear, statement)?;
        for create in creates {
            hazards.extend(analyze(create, &after).hazards);
            after = light(&after, create, limit)?;
        }
        // What is made again is not missed.
        hazards.retain(|hazard| {
            let name = hazard.relation.as_ref().and_then(|text| text.parse::<Name>().ok());
            hazard.id != HazardId::BreaksClients || name.is_none_or(|name| !after.relations.contains_key(&name))
        });
        let texts = |list: &[&Statement]| list.iter().map(|statement| statement.text.clone()).collect();
        let owned = |list: &[&Statement]| list.iter().copied().cloned().collect();
        Some(Self {
            drops: texts(drops),
            creates: texts(creates),
            clear,
            after,
            hazards,
            note: None,
            written: Some(Written { drops: owned(drops), creates: owned(creates) }),
        })
    }

    /// The author's statements around another change; `None` where they are not the author's.
    pub fn moved_to(&self, catalog: &Catalog, statement: &Statement, limit: i64) -> Option<Self> {
        let written = self.written.as_ref()?;
        let (drops, creates): (Vec<_>, Vec<_>) = (written.drops.iter().collect(), written.creates.iter().collect());
        Self::written(catalog, &drops, statement, &creates, limit)
    }

    /// The statements of the change with what belongs around them.
    pub fn wrap(&self, change: Vec<String>) -> Vec<String> {
        self.drops.iter().cloned().chain(change).chain(self.creates.iter().cloned()).collect()
    }
}

/// The catalog behind the statement; `None` when the server would refuse it, or its effect is not known.
fn behind(catalog: &Catalog, statement: &Statement) -> Option<Catalog> {
    let mut after = catalog.clone();
    obstacles::apply_to(&mut after, statement).ok()?;
    Some(after)
}

/// [`behind`] for what is not more than a moment's work.
fn light(catalog: &Catalog, statement: &Statement, limit: i64) -> Option<Catalog> {
    let impact = analyze(statement, catalog);
    let moment = impact.transaction == TransactionRule::Allowed && work(&impact, catalog, &Created::default()) <= limit;
    if moment { behind(catalog, statement) } else { None }
}

/// The statements that make again what `clear` lacks of `old`, and the catalog behind them.
fn again(old: &Catalog, clear: &Catalog, altered: Catalog, limit: i64) -> Result<(Vec<String>, Catalog), String> {
    let (mut reached, mut creates) = (altered, Vec::new());
    let mut wanted = with_lacking(old, clear, &reached);
    // What a definition does not hold comes in a second round.
    for _ in 0..3 {
        let script = ddl::between(&reached, &wanted);
        if let Some(gap) = script.gaps.first().or(script.lost.first()) {
            return Err(gap.clone());
        }
        let statements = script.statements();
        if statements.is_empty() {
            break;
        }
        for sql in statements {
            let statement = super::expand::single(&sql).ok_or("it cannot be written as SQL")?;
            let impact = analyze(&statement, &reached);
            if work(&impact, &reached, &Created::default()) > limit {
                let read: Vec<String> = impact.scans.iter().map(ToString::to_string).collect();
                return Err(format!("a materialized view would read {} anew while others wait", read.join(", ")));
            }
            obstacles::apply_to(&mut reached, &statement)?;
            creates.push(sql);
        }
        wanted = with_facts(old, clear, &reached)?;
    }
    if equivalent(&reached, &wanted) {
        Ok((creates, reached))
    } else {
        Err("not all of it can be made again exactly as it is".to_owned())
    }
}

/// `reached` with what `clear` lacks of `old`, as it was there.
fn with_lacking(old: &Catalog, clear: &Catalog, reached: &Catalog) -> Catalog {
    let mut wanted = reached.clone();
    for (name, relation, left) in old.relations.differences(&clear.relations) {
        let Some(relation) = relation else { continue };
        let Some(left) = left else {
            wanted.relations.insert(name.clone(), relation.clone());
            continue;
        };
        let Some(now) = wanted.relations.get_mut(name) else { continue };
        now.rules.extend(relation.rules.iter().filter(|rule| !left.rules.contains(rule)).cloned());
        now.rules.sort_by(|a, b| a.name.cmp(&b.name));
        now.policies.extend(relation.policies.iter().filter(|policy| !left.policies.contains(policy)).cloned());
        now.policies.sort_by(|a, b| a.name.cmp(&b.name));
        now.triggers.extend(relation.triggers.iter().filter(|trigger| !left.triggers.contains(trigger)).cloned());
        now.triggers.sort_by(|a, b| a.name.cmp(&b.name));
    }
    for (name, statistics) in old.statistics.iter().filter(|(name, _)| !clear.statistics.contains_key(*name)) {
        wanted.statistics.insert(name.clone(), statistics.clone());
    }
    wanted
}

/// `reached`, where what `clear` lacks of `old` has been made again, with all of it that is not its definition as it
/// was. Definitions are as the server prints them for the new types.
fn with_facts(old: &Catalog, clear: &Catalog, reached: &Catalog) -> Result<Catalog, String> {
    let mut wanted = reached.clone();
    for (name, relation, left) in old.relations.differences(&clear.relations) {
        let Some(relation) = relation else { continue };
        let missing = || format!("{name} cannot be made again exactly as it is");
        let now = wanted.relations.get_mut(name).ok_or_else(missing)?;
        let fits = match left {
            Some(_) => parts(relation, now),
            None => facts(relation, now, old.server.major()) && parts(relation, now),
        };
        if !fits {
            return Err(missing());
        }
    }
    Ok(wanted)
}

/// Gives `now` what `old` has besides a definition; whether that fits.
fn facts(old: &Relation, now: &mut Relation, major: i32) -> bool {
    now.owner.clone_from(&old.owner);
    now.options.clone_from(&old.options);
    if privileges(old, major) != privileges(now, major) {
        now.privileges.clone_from(&old.privileges);
    }
    now.comment.clone_from(&old.comment);
    now.tablespace.clone_from(&old.tablespace);
    now.access_method.clone_from(&old.access_method);
    if old.columns.len() != now.columns.len() || old.columns_unknown != now.columns_unknown {
        return false;
    }
    for (had, has) in old.columns.iter().zip(&mut now.columns) {
        if had.name != has.name || had.default.is_some() != has.default.is_some() {
            return false;
        }
        has.statistics_target = had.statistics_target;
        has.options.clone_from(&had.options);
        has.privileges.clone_from(&had.privileges);
        has.comment.clone_from(&had.comment);
    }
    let same_view = match (&old.view, &now.view) {
        (Some(had), Some(has)) => {
            had.references == has.references
                && had.functions == has.functions
                && had.constraints == has.constraints
                && had.populated == has.populated
        }
        (None, None) => true,
        _ => false,
    };
    same_view && old.kind == now.kind && old.persistence == now.persistence && old.extension == now.extension
}

/// The same for rules, policies and triggers.
fn parts(old: &Relation, now: &mut Relation) -> bool {
    for had in &old.rules {
        let Some(has) = now.rules.iter_mut().find(|has| has.name == had.name) else { return false };
        has.enabled = had.enabled;
        has.comment.clone_from(&had.comment);
    }
    for had in &old.policies {
        let Some(has) = now.policies.iter_mut().find(|has| has.name == had.name) else { return false };
        has.permissive = had.permissive;
        has.command = had.command;
        has.roles.clone_from(&had.roles);
        has.comment.clone_from(&had.comment);
    }
    for had in &old.triggers {
        let Some(has) = now.triggers.iter_mut().find(|has| has.name == had.name) else { return false };
        has.enabled = had.enabled;
        has.comment.clone_from(&had.comment);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::apply::apply;
    use crate::sql::parse;

    fn catalog(setup: &str) -> Catalog {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.user = "app".to_owned();
        catalog.server.search_path = vec!["public".to_owned()];
        catalog.schemas.insert("public".to_owned(), crate::catalog::Schema::default());
        for statement in parse(setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        let table = catalog.relations.get_mut(&Name::new("public", "t")).unwrap();
        (table.stats.empty, table.stats.bytes) = (false, 1 << 30);
        catalog
    }

    fn found(setup: &str) -> Result<Option<Around>, String> {
        let change = parse("ALTER TABLE t ALTER a TYPE bigint").unwrap();
        Around::found(&catalog(setup), &change[0], 1 << 20)
    }

    #[test]
    fn views_go_from_the_last_and_come_from_the_first() {
        let around = found(
            "CREATE TABLE t (a int, b int); CREATE VIEW z AS SELECT a FROM t; CREATE VIEW m AS SELECT a FROM z;
             CREATE VIEW b AS SELECT b FROM t; CREATE VIEW a AS SELECT m.a FROM m, z",
        );
        let around = around.unwrap().unwrap();
        assert_eq!(around.drops, ["DROP VIEW public.a", "DROP VIEW public.m", "DROP VIEW public.z"]);
        let words = |sql: &String| sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let creates: Vec<String> = around.creates.iter().map(words).collect();
        assert_eq!(creates, ["CREATE VIEW public.z", "CREATE VIEW public.m", "CREATE VIEW public.a"]);
    }

    #[test]
    fn says_what_cannot_be_made_again() {
        let why = found("CREATE TABLE t (a int); CREATE MATERIALIZED VIEW m AS SELECT a FROM t").unwrap_err();
        assert!(why.contains("read public.t anew"), "{why}");
        let why = found(
            "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t;
             CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM v; END",
        )
        .unwrap_err();
        assert!(why.starts_with("view public.v"), "{why}");
    }

    #[test]
    fn another_reason_of_the_server_stays_one() {
        let generated = "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a + 1) STORED);
            CREATE VIEW v AS SELECT a FROM t";
        assert!(found(generated).unwrap().is_none());
        assert!(found("CREATE TABLE t (b int); CREATE VIEW v AS SELECT b FROM t").unwrap().is_none());
    }
}
