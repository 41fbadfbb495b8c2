//! What the role must be able to do, found out before the first step rather than in the middle.

mod needs;

use tokio_postgres::Client;

use self::needs::{Needs, needs};

use super::error::{Fault, Reason, RunError};
use super::preflight::Server;
use crate::plan::{Action, Plan, Postcondition};

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
    lacking.extend(of_grants(client, &needs).await?);
    lacking.extend(of_publications(client, &needs).await?);
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
            "SELECT w.privilege, c.oid::regclass::text, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), pg_catalog.quote_ident(current_user),
                    o.rolsuper
             FROM unnest($1::text[], $2::text[]) AS w(name, privilege) JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name)
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND NOT CASE w.privilege WHEN 'OWN' THEN pg_catalog.pg_has_role(c.relowner, 'MEMBER')
                       WHEN 'DROP' THEN pg_catalog.pg_has_role(c.relowner, 'MEMBER') OR pg_catalog.pg_has_role(n.nspowner, 'MEMBER')
                       ELSE CASE WHEN w.privilege IN ('DELETE', 'TRUNCATE', 'TRIGGER')
                            THEN pg_catalog.has_table_privilege(c.oid, w.privilege)
                            ELSE has_any_column_privilege(c.oid, w.privilege) END END
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
                    match privilege.as_str() {
                        "REFERENCES" => "reference".to_owned(),
                        "TRIGGER" => "create triggers on".to_owned(),
                        other => other.to_lowercase(),
                    }
                )
            })
        })
        .collect()
}

async fn of_schemas(client: &Client, needs: &Needs) -> Result<Vec<String>, Fault> {
    let schemas: Vec<&str> = needs.schemas.iter().map(String::as_str).collect();
    let rows = client
        .query(
            "SELECT DISTINCT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(current_user)
             FROM pg_catalog.unnest($1::text[]) AS w(name)
             JOIN pg_catalog.pg_namespace n ON n.nspname = coalesce(nullif(w.name, ''), current_schema())
             WHERE NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE') ORDER BY 1",
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

/// Who grants a privilege needs it with grant option, or owns the object. Without it the server grants nothing and warns.
async fn of_grants(client: &Client, needs: &Needs) -> Result<Vec<String>, Fault> {
    let mut columns: [Vec<&str>; 3] = Default::default();
    for (kind, name, privilege) in &needs.grants {
        columns[0].push(kind.into());
        columns[1].push(name);
        columns[2].push(privilege);
    }
    let [kinds, names, privileges] = &columns;
    let rows = client
        .query(
            "SELECT w.kind, w.privilege, CASE w.kind WHEN 'TABLE' THEN c.oid::regclass::text ELSE pg_catalog.quote_ident(w.name) END,
                    pg_catalog.quote_ident(current_user)
             FROM unnest($1::text[], $2::text[], $3::text[]) AS w(kind, name, privilege)
             LEFT JOIN pg_catalog.pg_class c ON w.kind = 'TABLE' AND c.oid = pg_catalog.to_regclass(w.name)
             LEFT JOIN pg_catalog.pg_namespace n ON w.kind = 'SCHEMA' AND n.nspname = w.name
             LEFT JOIN pg_catalog.pg_database d ON w.kind = 'DATABASE' AND d.datname = w.name
             WHERE NOT CASE w.kind
                 WHEN 'TABLE' THEN CASE
                     WHEN c.relkind = 'S' AND w.privilege IN ('USAGE', 'SELECT', 'UPDATE')
                     THEN pg_catalog.has_sequence_privilege(c.oid, w.privilege || ' WITH GRANT OPTION')
                     WHEN c.relkind <> 'S' AND w.privilege IN
                         ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
                     THEN pg_catalog.has_table_privilege(c.oid, w.privilege || ' WITH GRANT OPTION') END
                 WHEN 'SCHEMA' THEN pg_catalog.has_schema_privilege(n.oid, w.privilege || ' WITH GRANT OPTION')
                 ELSE pg_catalog.has_database_privilege(d.oid, w.privilege || ' WITH GRANT OPTION') END
             ORDER BY 1, 3, 2",
            &[kinds, names, privileges],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (kind, privilege): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (name, user): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            let on = if kind == "TABLE" { name } else { format!("{kind} {name}") };
            Ok(format!(
                "{user} may not grant or revoke {privilege} on {on}: GRANT {privilege} ON {on} TO {user} WITH GRANT OPTION"
            ))
        })
        .collect()
}

/// Publications belong to the database and have owners; all tables, or those of a schema, only a superuser publishes.
async fn of_publications(client: &Client, needs: &Needs) -> Result<Vec<String>, Fault> {
    let names: Vec<&str> = needs.publications.iter().map(String::as_str).collect();
    let row = client
        .query_one(
            "SELECT pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(pg_catalog.current_database()),
                    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
                    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
                    coalesce((SELECT pg_catalog.array_agg(pg_catalog.quote_ident(p.pubname) || ' belongs to ' || pg_catalog.quote_ident(o.rolname) ORDER BY p.pubname)
                     FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles o ON o.oid = p.pubowner
                     WHERE p.pubname = ANY ($1::text[]) AND NOT pg_catalog.pg_has_role(p.pubowner, 'MEMBER')), '{}')::text[]",
            &[&names],
        )
        .await?;
    let (user, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let mut lacking = Vec::new();
    if needs.create_in_database && !row.try_get::<_, bool>(2)? {
        lacking.push(format!(
            "{user} may not create schemas or publications in the database {database}: GRANT CREATE ON DATABASE {database} TO {user}"
        ));
    }
    if needs.superuser && !row.try_get::<_, bool>(3)? {
        lacking.push(format!(
            "{user} is not a superuser, and nobody else may publish all tables or those of a schema: name the tables, or run \
             as a superuser"
        ));
    }
    for publication in row.try_get::<_, Vec<String>>(4)? {
        lacking.push(format!("the publication {publication} and not to {user}: run as its owner"));
    }
    Ok(lacking)
}

fn builds_indexes(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        matches!((&step.action, &step.postcondition), (Action::Concurrent(_), Postcondition::IndexValid(_)))
    })
}
