//! What the role must be able to do, found out before the first step rather than in the middle.

use std::collections::BTreeMap;

use pg_query::protobuf::{ObjectType, RangeVar, node::Node};
use tokio_postgres::Client;

use super::error::{Fault, Reason, RunError};
use super::preflight::Server;
use crate::plan::{Action, Plan, Postcondition};
use crate::sql::{self, quote};

/// What a step needs of a table that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// To change its rows.
    Update,
    /// To be its owner, or a member of that role.
    Own,
}

/// Refuses the plan when the role lacks what its steps need of tables that exist, or when the server cannot be
/// trusted with a step. What a step makes itself, and needs that cannot be told from its text, are left to the
/// server.
pub(super) async fn require(client: &Client, server: &Server, plan: &Plan) -> Result<(), Fault> {
    if builds_indexes(plan) && (140_000..140_004).contains(&server.identity.server_version) {
        return Err(RunError::new(
            Reason::UnsupportedServer,
            "PostgreSQL 14.0 to 14.3 corrupt indexes that are built concurrently: update the server first",
        )
        .into());
    }
    let needs = needs(plan);
    let names: Vec<&str> = needs.keys().map(String::as_str).collect();
    let rows = client
        .query(
            "SELECT w.name, pg_has_role(c.relowner, 'MEMBER'), has_table_privilege(c.oid, 'UPDATE'),
                    c.oid::regclass::text, quote_ident(pg_get_userbyid(c.relowner)), quote_ident(current_user)
             FROM unnest($1::text[]) AS w(name) JOIN pg_class c ON c.oid = to_regclass(w.name)
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            &[&names],
        )
        .await?;
    let mut lacking = Vec::new();
    for row in rows {
        let (owns, updates): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
        let (table, owner, user): (String, String, String) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        match needs.get(row.try_get::<_, &str>(0)?) {
            Some(Need::Own) if !owns => {
                lacking.push(format!("{user} is not the owner of {table}: GRANT {owner} TO {user}"));
            }
            Some(Need::Update) if !updates => {
                lacking.push(format!("{user} may not update {table}: GRANT UPDATE ON {table} TO {user}"));
            }
            _ => {}
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(RunError {
        sqlstate: Some("42501".to_owned()),
        ..RunError::new(Reason::MissingPrivilege, format!("{}. Nothing was touched", lacking.join("; ")))
    }
    .into())
}

fn builds_indexes(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        matches!((&step.action, &step.postcondition), (Action::Concurrent(_), Postcondition::IndexValid(_)))
    })
}

/// The strongest need of each table, by its name as SQL.
fn needs(plan: &Plan) -> BTreeMap<String, Need> {
    let mut needs = BTreeMap::new();
    let mut add = |table: String, need: Need| {
        needs.entry(table).and_modify(|known: &mut Need| *known = (*known).max(need)).or_insert(need);
    };
    for step in &plan.steps {
        match &step.action {
            Action::Transaction(transaction) => {
                for statement in &transaction.statements {
                    owned(statement).into_iter().for_each(|table| add(table, Need::Own));
                }
            }
            Action::Concurrent(concurrent) => {
                owned(&concurrent.statement).into_iter().for_each(|table| add(table, Need::Own));
            }
            Action::Backfill(spec) => add(quote::qualified(&spec.schema, &spec.table), Need::Update),
            Action::Check(_) => {}
        }
    }
    needs
}

/// The table that a statement can only be run on by its owner.
fn owned(statement: &str) -> Option<String> {
    let parsed = sql::parse(statement).ok()?;
    let [statement] = parsed.as_slice() else { return None };
    let relation = match &statement.node {
        Node::AlterTableStmt(alter) if alter.objtype() == ObjectType::ObjectTable => alter.relation.as_ref(),
        Node::IndexStmt(index) => index.relation.as_ref(),
        Node::RenameStmt(rename)
            if matches!(rename.rename_type(), ObjectType::ObjectTable | ObjectType::ObjectColumn) =>
        {
            rename.relation.as_ref()
        }
        _ => None,
    }?;
    Some(written(relation))
}

fn written(relation: &RangeVar) -> String {
    if relation.schemaname.is_empty() {
        quote::ident(&relation.relname)
    } else {
        quote::qualified(&relation.schemaname, &relation.relname)
    }
}

#[cfg(test)]
mod tests {
    use super::owned;

    #[test]
    fn knows_what_only_an_owner_may_do() {
        for (statement, table) in [
            ("ALTER TABLE orders ADD COLUMN a int", Some("orders")),
            ("ALTER TABLE ONLY public.\"Orders\" VALIDATE CONSTRAINT c", Some("public.\"Orders\"")),
            ("CREATE INDEX CONCURRENTLY ON s.t (a)", Some("s.t")),
            ("ALTER TABLE t RENAME COLUMN a TO b", Some("t")),
            ("CREATE TABLE t (a int)", None),
            ("UPDATE t SET a = 1", None),
            ("ALTER SEQUENCE s RESTART", None),
            ("not SQL", None),
        ] {
            assert_eq!(owned(statement).as_deref(), table, "{statement}");
        }
    }
}
