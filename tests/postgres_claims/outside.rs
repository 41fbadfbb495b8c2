//! A statement that is not allowed in a transaction: it is sent against a second session that holds one lock, until it
//! waits for that, and cancelled; the row of `pg_locks` it waits in tells the mode it asks for. In the end it runs
//! through, and new files and full reads are compared with those before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use wesley::catalog::{Catalog, Name, RelationKind};
use wesley::plan::LockMode;
use wesley::plan::analyze::{Impact, Target};

use super::databases::{Databases, Prepared, connect};
use super::measure::{Done, Facts, Outside, relations};
use super::statements::Case;

/// What the worker waits in, and what it holds.
const WAITING: &str = "
select locktype, relation, mode, granted from pg_locks where pid = $1 and (locktype = 'relation' or not granted)";

const READ: &str = "select relid, seq_tup_read from pg_stat_all_tables";

/// What a statement was seen to wait for.
enum Stop {
    /// Nothing: it ran through.
    Done,
    Lock(Name, LockMode),
    /// The end of the other session's transaction.
    Transaction,
    /// Something that is no relation of the user.
    Other,
}

/// Runs it against locks on everything it is said to touch, and then alone.
pub async fn measure(databases: &mut Databases, case: &Case, claim: &Impact) -> Facts {
    let mut done = Done::default();
    let mut outside = Outside::default();
    let Ok(prepared) = databases.prepare_anew(&case.setup).await else { unreachable!("it was prepared before") };
    match alone(&prepared, &case.sql, &mut done).await {
        Ok(()) => {}
        Err(refused) => {
            outside.error = Some(refused);
            done.outside = Some(outside);
            return Facts::Done(done);
        }
    }
    let named = claim.locks.keys().chain(&claim.waits_for_transactions).filter_map(|target| match target {
        Target::Relation(name) => Some(name.clone()),
        Target::Any => None,
    });
    let tables: BTreeSet<Name> = named.chain(done.locks.keys().cloned()).collect();
    for table in tables.iter().filter(|table| can_be_locked(&prepared.catalog, table)) {
        if let Stop::Lock(name, mode) = against(databases, case, table, LockMode::AccessExclusive, &mut done).await {
            done.lock(&name, mode);
        }
        if !case.sql.to_lowercase().contains("concurrently") {
            continue;
        }
        for mode in [LockMode::AccessShare, LockMode::RowExclusive] {
            match against(databases, case, table, mode, &mut done).await {
                Stop::Lock(name, mode) => done.lock(&name, mode),
                Stop::Transaction => {
                    outside.waits.insert(table.clone());
                }
                Stop::Done | Stop::Other => {}
            }
        }
    }
    done.outside = Some(outside);
    Facts::Done(done)
}

fn can_be_locked(catalog: &Catalog, name: &Name) -> bool {
    catalog.relations.get(name).is_some_and(|relation| {
        relation.kind.has_heap() || relation.kind.is_table() || relation.kind == RelationKind::PartitionedIndex
    })
}

/// The statement against one lock of another session.
async fn against(databases: &mut Databases, case: &Case, table: &Name, held: LockMode, done: &mut Done) -> Stop {
    let Ok(prepared) = databases.prepare_anew(&case.setup).await else { unreachable!("it was prepared before") };
    let mut held_words = String::new();
    for letter in held.to_string().chars() {
        if letter.is_uppercase() && !held_words.is_empty() {
            held_words.push(' ');
        }
        held_words.push(letter);
    }
    let holder = connect(prepared.major, &prepared.database).await;
    let hold = match prepared.catalog.relations.get(table).map(|relation| relation.kind) {
        // LOCK TABLE takes tables only.
        Some(RelationKind::MaterializedView) if held == LockMode::AccessShare => {
            format!("begin; select from {table} limit 0")
        }
        Some(RelationKind::MaterializedView) if held == LockMode::AccessExclusive => {
            format!("begin; alter materialized view {table} owner to postgres")
        }
        // The only lock to be had on an index without a conflict with those who read its table.
        Some(RelationKind::PartitionedIndex) if held == LockMode::AccessExclusive => {
            format!("begin; alter index {table} rename to held_by_another")
        }
        Some(RelationKind::MaterializedView | RelationKind::PartitionedIndex) => return Stop::Other,
        _ => format!("begin; lock table only {table} in {held_words} mode"),
    };
    holder.batch_execute(&hold).await.unwrap();
    let worker = connect(prepared.major, &prepared.database).await;
    let pid: i32 = worker.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let running = worker.batch_execute(&case.sql);
    tokio::pin!(running);
    let started = Instant::now();
    let stop = loop {
        tokio::select! {
            _ = &mut running => break Stop::Done,
            stop = waiting(&prepared, pid, done) => if let Some(stop) = stop { break stop },
        }
        assert!(started.elapsed() < Duration::from_secs(60), "neither done nor waiting: {}", case.sql);
    };
    if !matches!(stop, Stop::Done) {
        prepared.observer.execute("select pg_cancel_backend($1)", &[&pid]).await.unwrap();
        let _ = running.await;
    }
    stop
}

/// One look at the worker's locks.
async fn waiting(prepared: &Prepared, pid: i32, done: &mut Done) -> Option<Stop> {
    let mut stop = None;
    for row in prepared.observer.query(WAITING, &[&pid]).await.unwrap() {
        let (kind, relation): (String, Option<u32>) = (row.get(0), row.get(1));
        let (mode, granted): (String, bool) = (row.get(2), row.get(3));
        let mode: LockMode = match mode.strip_suffix("Lock").unwrap().parse() {
            Ok(mode) => mode,
            Err(_) => continue,
        };
        let name = relation.and_then(|oid| prepared.relations.get(&oid)).map(|(name, _)| name);
        match (kind.as_str(), name, granted) {
            ("relation", Some(name), true) => done.lock(name, mode),
            ("relation", Some(name), false) => stop = Some(Stop::Lock(name.clone(), mode)),
            ("virtualxid", ..) => stop = Some(Stop::Transaction),
            (_, _, false) => stop = Some(Stop::Other),
            _ => {}
        }
    }
    stop
}

/// The statement with nobody in its way.
async fn alone(prepared: &Prepared, sql: &str, done: &mut Done) -> Result<(), (String, String)> {
    let read_before = read(&prepared.observer).await;
    let worker = connect(prepared.major, &prepared.database).await;
    let pid: i32 = worker.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    {
        let running = worker.batch_execute(sql);
        tokio::pin!(running);
        loop {
            tokio::select! {
                result = &mut running => {
                    if let Err(error) = result {
                        let error = error.as_db_error().expect("an error of the server");
                        return Err((error.code().code().to_owned(), error.message().to_owned()));
                    }
                    break;
                }
                _ = waiting(prepared, pid, done) => {}
            }
        }
    }
    // Statistics are sent when a session ends; 14 still has a collector that sends them around later.
    if prepared.major >= 15 {
        worker.batch_execute("select pg_stat_force_next_flush()").await.unwrap();
        worker.batch_execute("select 1").await.unwrap();
    } else {
        drop(worker);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    let after = relations(&prepared.observer).await;
    for (oid, (name, file)) in &prepared.relations {
        if after.get(oid).is_some_and(|(_, now)| now != file) {
            done.rewritten.insert(name.clone());
        }
    }
    for (oid, count) in read(&prepared.observer).await {
        if count > read_before.get(&oid).copied().unwrap_or(0)
            && let Some((name, _)) = prepared.relations.get(&oid)
        {
            done.scanned.insert(name.clone());
        }
    }
    Ok(())
}

async fn read(observer: &Client) -> BTreeMap<u32, i64> {
    let rows = observer.query(READ, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get::<_, Option<i64>>(1).unwrap_or(0))).collect()
}
