//! Server and session.

use tokio_postgres::Client;

use super::super::Server;
use super::IntrospectError;
use super::query::{all, execute};

/// Without operators: in the role's path another schema may come before `pg_catalog`.
const SESSION: &str = "
select pg_catalog.current_setting('TimeZone'), pg_catalog.current_schemas(false)::pg_catalog.text[]";

const SERVER: &str = "
select pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    d.datname::pg_catalog.text,
    current_user::pg_catalog.text,
    (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user),
    d.oid,
    t.spcname::pg_catalog.text,
    pg_catalog.current_setting('default_table_access_method'),
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
from pg_catalog.pg_database d
join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
where d.datname = pg_catalog.current_database()";

/// Executable by everyone by default; hosting providers may revoke it.
const IDENTITY: &str = "
select s.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() s";

/// Read from files of the server (`pg_available_extensions`), by anyone.
const AVAILABLE_EXTENSIONS: &str = "
select e.name::pg_catalog.text, coalesce(v.requires::pg_catalog.text[], '{}')
from pg_catalog.pg_available_extensions e
left join pg_catalog.pg_available_extension_versions v on v.name = e.name and v.version = e.default_version";

/// Must run in a transaction and before the session's settings are changed; ends the role's `search_path` for the rest of it.
pub(super) async fn read(client: &Client) -> Result<Server, IntrospectError> {
    let mut server = Server::default();
    let mut may_read_identity = false;
    all(client, "the session's settings", SESSION, |row| {
        server.time_zone = row.take()?;
        server.search_path = row.take()?;
        Ok(())
    })
    .await?;
    execute(client, "a snapshot", "set local search_path = ''").await?;
    all(client, "server facts", SERVER, |row| {
        server.version = row.take()?;
        server.database = row.take()?;
        server.user = row.take()?;
        server.superuser = row.take::<Option<bool>>()?.unwrap_or(false);
        server.database_oid = row.take()?;
        server.default_tablespace = row.take()?;
        server.default_table_access_method = row.take()?;
        may_read_identity = row.take()?;
        Ok(())
    })
    .await?;
    if may_read_identity {
        all(client, "the system identifier", IDENTITY, |row| {
            server.system_identifier = row.take()?;
            Ok(())
        })
        .await?;
    }
    all(client, "available extensions", AVAILABLE_EXTENSIONS, |row| {
        server.available_extensions.insert(row.take()?, row.take()?);
        Ok(())
    })
    .await?;
    Ok(server)
}
