//! What the role must be able to do, found out before the first step rather than in the middle.

use std::collections::BTreeSet;

use pg_query::protobuf::{ObjectType, RangeVar, node::Node};
use tokio_postgres::Client;

use super::error::{Fault, Reason, RunError};
use super::preflight::Server;
use crate::plan::{Action, Plan, Postcondition, RowChange};
use crate::sql::{self, quote};

/// What a step needs of a table that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
enum Need {
    /// To be its owner, or a member of that role.
    Own,
    /// To be its owner, or that of its schema.
    Drop,
    /// To add rows.
    Insert,
    /// To change its rows.
    Update,
    /// To delete rows.
    Delete,
    /// To point a foreign key at it.
    References,
}

/// What a plan needs, by names as SQL.
#[derive(Debug, Default, PartialEq)]
struct Needs {
    tables: BTreeSet<(String, Need)>,
    /// Schemas in which something is made; empty: the first of the search path.
    schemas: BTreeSet<String>,
}

/// Refuses the plan when the role lacks what its steps need of tables and schemas that exist, or when the server
/// cannot be trusted with a step. What a step makes itself, and needs that cannot be told from its text, are left to
/// the server.
pub(super) async fn require(client: &Client, server: &Server, plan: &Plan) -> Result<(), Fault> {
    if builds_indexes(plan) && (140_000..140_004).contains(&server.identity.server_version) {
        return Err(RunError::new(
            Reason::UnsupportedServer,
            "PostgreSQL 14.0 to 14.3 corrupt indexes that are built concurrently: update the server first",
        )
        .into());
    }
    let needs = needs(plan);
    let mut lacking = of_tables(client, &needs).await?;
    lacking.extend(of_schemas(client, &needs).await?);
    if lacking.is_empty() {
        return Ok(());
    }
    Err(RunError {
        sqlstate: Some("42501".to_owned()),
        ..RunError::new(Reason::MissingPrivilege, format!("{}. Nothing was touched", lacking.join("; ")))
    }
    .into())
}

async fn of_tables(client: &Client, needs: &Needs) -> Result<Vec<String>, Fault> {
    let (names, privileges): (Vec<&str>, Vec<&str>) =
        needs.tables.iter().map(|(name, need)| (name.as_str(), <&str>::from(need))).unzip();
    let rows = client
        .query(
            "SELECT w.privilege, c.oid::regclass::text, quote_ident(pg_get_userbyid(c.relowner)), quote_ident(current_user),
                    o.rolsuper
             FROM unnest($1::text[], $2::text[]) AS w(name, privilege) JOIN pg_class c ON c.oid = to_regclass(w.name)
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND NOT CASE w.privilege WHEN 'OWN' THEN pg_has_role(c.relowner, 'MEMBER')
                       WHEN 'DROP' THEN pg_has_role(c.relowner, 'MEMBER') OR pg_has_role(n.nspowner, 'MEMBER')
                       WHEN 'DELETE' THEN has_table_privilege(c.oid, 'DELETE')
                       ELSE has_any_column_privilege(c.oid, nullif(nullif(w.privilege, 'OWN'), 'DROP')) END
             ORDER BY 2, 1",
            &[&names, &privileges],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (privilege, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (owner, user): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            Ok(if privilege == "OWN" || privilege == "DROP" {
                // Who is a member of a superuser can become it.
                let way = if row.try_get(4)? {
                    format!("run as its owner {owner}")
                } else {
                    format!("GRANT {owner} TO {user}")
                };
                format!("{user} is not the owner of {table}: {way}")
            } else {
                format!(
                    "{user} may not {} {table}: GRANT {privilege} ON {table} TO {user}",
                    if privilege == "REFERENCES" { "reference".to_owned() } else { privilege.to_lowercase() }
                )
            })
        })
        .collect()
}

async fn of_schemas(client: &Client, needs: &Needs) -> Result<Vec<String>, Fault> {
    let schemas: Vec<&str> = needs.schemas.iter().map(String::as_str).collect();
    let rows = client
        .query(
            "SELECT DISTINCT quote_ident(n.nspname), quote_ident(current_user)
             FROM unnest($1::text[]) AS w(name)
             JOIN pg_namespace n ON n.nspname = coalesce(nullif(w.name, ''), current_schema())
             WHERE NOT has_schema_privilege(n.oid, 'CREATE') ORDER BY 1",
            &[&schemas],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (schema, user): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(format!("{user} may not create in the schema {schema}: GRANT CREATE ON SCHEMA {schema} TO {user}"))
        })
        .collect()
}

fn builds_indexes(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        matches!((&step.action, &step.postcondition), (Action::Concurrent(_), Postcondition::IndexValid(_)))
    })
}

fn needs(plan: &Plan) -> Needs {
    let mut needs = Needs::default();
    for step in &plan.steps {
        match &step.action {
            Action::Transaction(transaction) => {
                transaction.statements.iter().for_each(|statement| of_statement(statement, &mut needs));
            }
            Action::Concurrent(concurrent) => of_statement(&concurrent.statement, &mut needs),
            Action::Backfill(spec) => {
                needs.tables.insert((quote::qualified(&spec.schema, &spec.table), Need::Update));
            }
            Action::Script(script) => {
                for RowChange { command, relation, .. } in &script.changes {
                    let need = match command.as_str() {
                        "INSERT" => Need::Insert,
                        "UPDATE" => Need::Update,
                        "DELETE" => Need::Delete,
                        // Which of them it needs its clauses tell.
                        _ => continue,
                    };
                    needs.tables.insert((relation.clone(), need));
                }
            }
            Action::Check(_) => {}
        }
    }
    needs
}

fn of_statement(statement: &str, needs: &mut Needs) {
    let Ok(parsed) = sql::parse(statement) else { return };
    let [statement] = parsed.as_slice() else { return };
    let mut table = |relation: Option<&RangeVar>, need: Need| {
        needs.tables.extend(relation.map(|relation| (written(relation), need)));
    };
    match &statement.node {
        Node::AlterTableStmt(alter) if alter.objtype() == ObjectType::ObjectTable => {
            table(alter.relation.as_ref(), Need::Own);
            for command in &alter.cmds {
                table(referenced(command), Need::References);
            }
        }
        Node::IndexStmt(index) => {
            table(index.relation.as_ref(), Need::Own);
            needs.schemas.extend(index.relation.as_ref().map(|relation| relation.schemaname.clone()));
        }
        Node::RenameStmt(rename)
            if matches!(rename.rename_type(), ObjectType::ObjectTable | ObjectType::ObjectColumn) =>
        {
            table(rename.relation.as_ref(), Need::Own);
        }
        Node::DropStmt(drop) => {
            for object in &drop.objects {
                let Some(Node::List(list)) = &object.node else { continue };
                let mut names: Vec<&str> = list
                    .items
                    .iter()
                    .filter_map(|name| match &name.node {
                        Some(Node::String(text)) => Some(text.sval.as_str()),
                        _ => None,
                    })
                    .collect();
                let need = match drop.remove_type() {
                    ObjectType::ObjectView | ObjectType::ObjectMatview => Need::Drop,
                    ObjectType::ObjectRule | ObjectType::ObjectPolicy | ObjectType::ObjectTrigger => {
                        names.pop();
                        Need::Own
                    }
                    _ => continue,
                };
                let quoted: Vec<String> = names.into_iter().map(quote::ident).collect();
                needs.tables.insert((quoted.join("."), need));
            }
        }
        Node::InsertStmt(insert) => table(insert.relation.as_ref(), Need::Insert),
        Node::UpdateStmt(update) => table(update.relation.as_ref(), Need::Update),
        Node::DeleteStmt(delete) => table(delete.relation.as_ref(), Need::Delete),
        Node::CreateStmt(create) => {
            let permanent = create.relation.as_ref().filter(|relation| relation.relpersistence != "t");
            needs.schemas.extend(permanent.map(|relation| relation.schemaname.clone()));
        }
        Node::ViewStmt(view) => {
            let permanent = view.view.as_ref().filter(|relation| relation.relpersistence != "t");
            needs.schemas.extend(permanent.map(|relation| relation.schemaname.clone()));
        }
        _ => {}
    }
}

/// The table that a subcommand points a foreign key at.
fn referenced(command: &pg_query::protobuf::Node) -> Option<&RangeVar> {
    let Some(Node::AlterTableCmd(command)) = &command.node else { return None };
    match &command.def.as_ref()?.node {
        Some(Node::Constraint(constraint)) => constraint.pktable.as_ref(),
        _ => None,
    }
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
    use super::*;

    #[test]
    fn knows_what_statements_need() {
        for (statement, tables, schemas) in [
            ("ALTER TABLE orders ADD COLUMN a int", vec![("orders", Need::Own)], vec![]),
            ("DROP VIEW s.\"V\", w", vec![("s.\"V\"", Need::Drop), ("w", Need::Drop)], vec![]),
            ("DROP POLICY p ON s.t", vec![("s.t", Need::Own)], vec![]),
            (
                "ALTER TABLE ONLY public.\"Orders\" VALIDATE CONSTRAINT c",
                vec![("public.\"Orders\"", Need::Own)],
                vec![],
            ),
            ("CREATE INDEX CONCURRENTLY ON s.t (a)", vec![("s.t", Need::Own)], vec!["s"]),
            ("ALTER TABLE t RENAME COLUMN a TO b", vec![("t", Need::Own)], vec![]),
            (
                "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES s.u NOT VALID",
                vec![("s.u", Need::References), ("t", Need::Own)],
                vec![],
            ),
            ("CREATE TABLE t (a int)", vec![], vec![""]),
            ("CREATE TEMPORARY TABLE t (a int)", vec![], vec![]),
            ("UPDATE t SET a = 1", vec![("t", Need::Update)], vec![]),
            ("DELETE FROM s.t", vec![("s.t", Need::Delete)], vec![]),
            ("ALTER SEQUENCE s RESTART", vec![], vec![]),
            ("not SQL", vec![], vec![]),
        ] {
            let mut found = Needs::default();
            of_statement(statement, &mut found);
            let expected = Needs {
                tables: tables.into_iter().map(|(name, need)| (name.to_owned(), need)).collect(),
                schemas: schemas.into_iter().map(str::to_owned).collect(),
            };
            assert_eq!(found, expected, "{statement}");
        }
    }
}
