//! What a statement does, seen from outside: its locks in `pg_locks`, new files in `pg_class`, rows read in the
//! transaction's statistics.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use wesley::catalog::Name;
use wesley::plan::LockMode;

use super::databases::{Prepared, connect};

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

const RELATIONS: &str = "
select c.oid, n.nspname::text, c.relname::text, coalesce(pg_relation_filenode(c.oid), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";

const LOCKS: &str = "
select relation, mode from pg_locks where pid = $1 and granted and locktype = 'relation'";

const READ: &str = "select relid from pg_stat_xact_all_tables where seq_tup_read > 0";

/// Name and file of each relation by its oid.
async fn relations(client: &Client) -> BTreeMap<u32, (Name, u32)> {
    let rows = client.query(RELATIONS, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let name = Name::new(row.get::<_, String>(1), row.get::<_, String>(2));
            (row.get(0), (name, row.get(3)))
        })
        .collect()
}

pub async fn measure(prepared: &Prepared, sql: &str) -> Facts {
    let observer = connect(prepared.major, &prepared.database).await;
    // A session of its own: its statistics begin at zero.
    let worker = connect(prepared.major, &prepared.database).await;
    let pid: i32 = worker.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let before = relations(&observer).await;
    worker.batch_execute("begin").await.unwrap();
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
    for (oid, (name, file)) in &before {
        if after.get(oid).is_some_and(|(_, now)| now != file) {
            done.rewritten.insert(name.clone());
        }
    }
    for row in worker.query(READ, &[]).await.unwrap() {
        if let Some((name, _)) = before.get(&row.get::<_, u32>(0)) {
            done.scanned.insert(name.clone());
        }
    }
    worker.batch_execute("rollback").await.unwrap();
    Facts::Done(done)
}
