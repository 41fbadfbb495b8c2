//! What a statement does, seen from outside: its locks in `pg_locks`, new files in `pg_class`, rows read in the
//! transaction's statistics, and what the server says it verifies or rewrites.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use wesley::catalog::Name;
use wesley::plan::LockMode;

use super::databases::{Prepared, Session};

/// What was seen.
#[derive(Debug)]
pub enum Facts {
    Done(Done),
    /// SQLSTATE and message.
    Refused(String, String),
}

impl Facts {
    /// Whether the server refuses the statement in a transaction.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(sqlstate, _) if sqlstate == "25001")
    }

    /// Whether it ran outside of a transaction.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Done(done) if done.outside.is_some())
    }
}

#[derive(Debug, Default)]
pub struct Done {
    pub locks: BTreeMap<Name, LockMode>,
    pub rewritten: BTreeSet<Name>,
    pub scanned: BTreeSet<Name>,
    /// Only of what ran outside of a transaction.
    pub outside: Option<Outside>,
}

/// What only shows outside of a transaction.
#[derive(Debug, Default)]
pub struct Outside {
    /// Tables whose users it waits for without conflicting with their lock.
    pub waits: BTreeSet<Name>,
    /// SQLSTATE and message, when it fails there too.
    pub error: Option<(String, String)>,
}

impl Done {
    pub fn lock(&mut self, name: &Name, mode: LockMode) {
        let held = self.locks.entry(name.clone()).or_insert(mode);
        *held = held.join(mode);
    }
}

/// Name and file of each relation by its oid.
pub type Relations = BTreeMap<u32, (Name, u32)>;

const RELATIONS: &str = "
select c.oid, n.nspname::text, c.relname::text, coalesce(pg_relation_filenode(c.oid), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";

const LOCKS: &str = "
select relation, mode from pg_locks where pid = $1 and granted and locktype = 'relation'";

const READ: &str = "select relid, seq_tup_read from pg_stat_xact_all_tables where seq_tup_read > 0";

pub async fn relations(client: &Client) -> Relations {
    let rows = client.query(RELATIONS, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let name = Name::new(row.get::<_, String>(1), row.get::<_, String>(2));
            (row.get(0), (name, row.get(3)))
        })
        .collect()
}

pub async fn measure(prepared: &Prepared, session: &Session, sql: &str) -> Facts {
    let worker = &session.client;
    worker.batch_execute("begin; set local client_min_messages = debug1").await.unwrap();
    // What earlier transactions read is counted until the server sends it on.
    let read_before = read(worker).await;
    session.notes.lock().unwrap().clear();
    let facts = match worker.batch_execute(sql).await {
        Ok(()) => Facts::Done(seen(prepared, session, &read_before).await),
        Err(error) => {
            let error = error.as_db_error().expect("an error of the server");
            Facts::Refused(error.code().code().to_owned(), error.message().to_owned())
        }
    };
    // Prepared statements outlive their transaction.
    worker.batch_execute("rollback; deallocate all").await.unwrap();
    facts
}

/// Tuples read in full scans by the session's transactions that are not yet sent to the statistics.
async fn read(worker: &Client) -> BTreeMap<u32, i64> {
    worker.query(READ, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn seen(prepared: &Prepared, session: &Session, read_before: &BTreeMap<u32, i64>) -> Done {
    let (observer, before, worker) = (&prepared.observer, &prepared.relations, &session.client);
    let mut done = Done::default();
    for row in observer.query(LOCKS, &[&session.pid]).await.unwrap() {
        let Some((name, _)) = before.get(&row.get::<_, u32>(0)) else { continue };
        let mode: String = row.get(1);
        let mode: LockMode = mode.strip_suffix("Lock").unwrap().parse().unwrap();
        done.lock(name, mode);
    }
    let after = relations(worker).await;
    for (oid, (name, file)) in before {
        if after.get(oid).is_some_and(|(_, now)| now != file) {
            done.rewritten.insert(name.clone());
        }
    }
    for (oid, count) in read(worker).await {
        if let Some((name, _)) = before.get(&oid)
            && count > read_before.get(&oid).copied().unwrap_or(0)
        {
            done.scanned.insert(name.clone());
        }
    }
    // A scan that finds no row is still said to be one; tables without rows do not count.
    for note in session.notes.lock().unwrap().iter() {
        let Some(table) = note.strip_prefix("verifying table \"").and_then(|rest| rest.strip_suffix('"')) else {
            continue;
        };
        let named = before.values().filter(|(name, _)| name.name == table).map(|(name, _)| name);
        done.scanned.extend(named.filter(|name| !prepared.is_empty(name)).cloned());
    }
    done
}
