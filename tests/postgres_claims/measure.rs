//! What a statement does, seen from outside: its locks in `pg_locks`, new files in `pg_class`, rows read in the
//! transaction's statistics, and what the server says it verifies or rewrites.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use wesley::catalog::Name;
use wesley::plan::LockMode;

use super::databases::{Prepared, connect_noting};

/// What was seen.
#[derive(Debug)]
pub enum Facts {
    Done(Done),
    /// SQLSTATE and message.
    Refused(String, String),
}

#[derive(Debug, Default)]
pub struct Done {
    pub locks: BTreeMap<Name, LockMode>,
    pub rewritten: BTreeSet<Name>,
    pub scanned: BTreeSet<Name>,
}

/// Name and file of each relation by its oid.
pub type Relations = BTreeMap<u32, (Name, u32)>;

const RELATIONS: &str = "
select c.oid, n.nspname::text, c.relname::text, coalesce(pg_relation_filenode(c.oid), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";

const LOCKS: &str = "
select relation, mode from pg_locks where pid = $1 and granted and locktype = 'relation'";

const READ: &str = "select relid from pg_stat_xact_all_tables where seq_tup_read > 0";

pub async fn relations(client: &Client) -> Relations {
    let rows = client.query(RELATIONS, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let name = Name::new(row.get::<_, String>(1), row.get::<_, String>(2));
            (row.get(0), (name, row.get(3)))
        })
        .collect()
}

pub async fn measure(prepared: &Prepared, sql: &str) -> Facts {
    let (observer, before) = (&prepared.observer, &prepared.relations);
    // A session of its own: its statistics begin at zero.
    let (worker, notes) = connect_noting(prepared.major, &prepared.database).await;
    let pid: i32 = worker.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    worker.batch_execute("begin; set local client_min_messages = debug1").await.unwrap();
    if let Err(error) = worker.batch_execute(sql).await {
        let error = error.as_db_error().expect("an error of the server");
        return Facts::Refused(error.code().code().to_owned(), error.message().to_owned());
    }
    let mut done = Done::default();
    for row in observer.query(LOCKS, &[&pid]).await.unwrap() {
        let Some((name, _)) = before.get(&row.get::<_, u32>(0)) else { continue };
        let mode: String = row.get(1);
        let mode: LockMode = mode.strip_suffix("Lock").unwrap().parse().unwrap();
        let held = done.locks.entry(name.clone()).or_insert(mode);
        *held = held.join(mode);
    }
    let after = relations(&worker).await;
    for (oid, (name, file)) in before {
        if after.get(oid).is_some_and(|(_, now)| now != file) {
            done.rewritten.insert(name.clone());
        }
    }
    for row in worker.query(READ, &[]).await.unwrap() {
        if let Some((name, _)) = before.get(&row.get::<_, u32>(0)) {
            done.scanned.insert(name.clone());
        }
    }
    // A scan that finds no row is still said to be one; tables without rows do not count.
    for note in notes.lock().unwrap().iter() {
        let Some(table) = note.strip_prefix("verifying table \"").and_then(|rest| rest.strip_suffix('"')) else {
            continue;
        };
        let named = before.values().filter(|(name, _)| name.name == table).map(|(name, _)| name);
        done.scanned.extend(named.filter(|name| !prepared.is_empty(name)).cloned());
    }
    worker.batch_execute("rollback").await.unwrap();
    Facts::Done(done)
}
