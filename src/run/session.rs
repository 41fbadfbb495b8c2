//! The execution session: one dedicated connection that holds the database's advisory lock and runs every
//! statement, and a second one that watches it.
//!
//! Lock and statements share a connection on purpose: whoever lost the lock lost the means to write as well.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::connect::{Settings, Warnings};
use super::error::{Fault, Reason, RunError, ServerError};
use super::options::Options;
use super::preflight::{self, Server};
use super::progress::{Observer, Progress, ProgressState};
use super::watch::{self, Blocker, Seen, Watch};
use super::watcher::Watcher;

/// A connected runner.
pub(super) struct Session {
    settings: Settings,
    client: Client,
    warnings: Warnings,
    watcher: tokio::sync::Mutex<Watcher>,
    pid: i32,
    interrupt: CancellationToken,
    /// Facts read at connection.
    pub server: Server,
    blockers: Mutex<Vec<Blocker>>,
    yielded: AtomicBool,
    /// Counts connections: statements prepared on an earlier one are gone.
    pub generation: u64,
}

/// How long to wait for the server to obey a cancel request before the connection is given up.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// The advisory lock's key: the same for every version, one lock in each database.
pub(super) fn lock_key() -> i64 {
    let digest = Sha256::digest(b"wesley:execution");
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

impl Session {
    /// Connects, checks that the server can be worked with, and takes the advisory lock.
    /// While another run has it, `observer` is told once who that is.
    pub async fn open(
        settings: &Settings,
        name: &str,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Self, RunError> {
        let settings = settings.clone().with_application_name(&preflight::application_name(name));
        let mut session = Self::connect(settings, options.interrupt.clone()).await.map_err(|fault| match fault {
            Fault::Fatal(error) => error,
            Fault::Interrupted => interrupted(),
            Fault::Lost => RunError::new(Reason::Unreachable, "the server closed the connection at its start"),
            Fault::Server(error) => preflight::refusal(&error),
        })?;
        session.hold(options.busy_wait, observer).await.map_err(at_start)?;
        Ok(session)
    }

    async fn connect(settings: Settings, interrupt: CancellationToken) -> Result<Self, Fault> {
        let (client, warnings) = settings.connect_and_hear().await.map_err(RunError::from)?;
        let (server, watcher) = tokio::join!(preflight::prepare(&client), settings.connect());
        let server = server?;
        // Without a second connection there is no naming of blockers; lock_timeout still protects the application.
        let watcher = watcher.ok();
        match &watcher {
            Some(watcher) => {
                preflight::prepare_watcher(watcher).await?;
                preflight::refuse_pooler(&client, watcher).await?;
            }
            None => preflight::refuse_moving(&client).await?,
        }
        let pid = client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok(Self {
            settings,
            client,
            warnings,
            watcher: tokio::sync::Mutex::new(Watcher::new(watcher)),
            pid,
            interrupt,
            server,
            blockers: Mutex::default(),
            yielded: AtomicBool::new(false),
            generation: 0,
        })
    }

    /// A second runner's connection for one statement of the same run, without the lock, which is ours. `interrupt` ends it.
    pub async fn beside(&self, interrupt: CancellationToken) -> Result<Self, Fault> {
        Self::connect(self.settings.clone(), interrupt).await
    }

    /// Polls for the advisory lock. Never waits inside the server: a waiter would hold a snapshot, and the
    /// holder's concurrent index build would wait for that.
    async fn hold(&mut self, patience: Duration, observer: &dyn Observer) -> Result<(), Fault> {
        let until = Instant::now() + patience;
        let mut told = false;
        loop {
            let row = self
                .statement(self.client.query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&lock_key()]))
                .await?;
            if row.try_get(0)? {
                return Ok(());
            }
            let holder = preflight::lock_holder(&self.client, lock_key()).await.ok().flatten();
            if Instant::now() >= until {
                return Err(busy(holder).into());
            }
            if let Some(holder) = holder.filter(|_| !told) {
                observer.progress(&waits_for(&holder));
                told = true;
            }
            self.pause(POLL).await?;
        }
    }

    /// Connects again after the connection was lost, within `options.reconnect_budget`, and takes the lock again.
    pub async fn reopen(&mut self, options: &Options) -> Result<(), RunError> {
        let until = Instant::now() + options.reconnect_budget;
        let mut pause = Duration::from_millis(50);
        loop {
            let error = match self.reconnect(until).await {
                Ok(()) => return Ok(()),
                Err(Fault::Fatal(error)) if !may_pass(error.reason) => return Err(error),
                Err(Fault::Interrupted) => return Err(interrupted()),
                Err(Fault::Fatal(error)) => error.message,
                Err(Fault::Lost) => "the server closed the connection again".to_owned(),
                Err(Fault::Server(error)) => error.message,
            };
            if Instant::now() >= until {
                return Err(RunError::new(
                    Reason::ConnectionLost,
                    format!("the connection was lost and could not be made again: {error}; run it again to resume"),
                ));
            }
            self.pause(pause).await.map_err(|_| interrupted())?;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    async fn reconnect(&mut self, until: Instant) -> Result<(), Fault> {
        let mut fresh = Self::connect(self.settings.clone(), self.interrupt.clone()).await?;
        if !fresh.server.identity.same_database(&self.server.identity) {
            return Err(RunError::new(
                Reason::TargetChanged,
                "after the connection was lost, another database answers at the same address; nothing was done in it",
            )
            .into());
        }
        fresh.generation = self.generation + 1;
        fresh.hold(until.saturating_duration_since(Instant::now()), &()).await?;
        *self = fresh;
        Ok(())
    }

    /// The connection that runs everything.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Refuses to go on when the connection has become another session of the server. Only a pooler does that; where a
    /// second connection has shown at the beginning that none does, it is not asked again.
    pub async fn require_same_session(&self) -> Result<(), Fault> {
        if self.watcher.lock().await.is_there() {
            return Ok(());
        }
        let pid: i32 =
            self.statement(self.client.query_one("SELECT pg_catalog.pg_backend_pid()", &[])).await?.try_get(0)?;
        if pid == self.pid { Ok(()) } else { Err(preflight::pooler().into()) }
    }

    /// What the server has let pass as a success since this was last asked, and is none.
    pub fn warned(&self) -> Option<ServerError> {
        let sqlstate = self.warnings.take()?;
        let message = "the server has not granted or not revoked all that the statement says, because the role has not all of it \
                       with grant option: run as the owner, or GRANT ... WITH GRANT OPTION to the role";
        Some(ServerError { message: format!("{message} ({sqlstate})"), sqlstate })
    }

    /// Waits for a statement; on interruption cancels it first.
    pub async fn statement<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        self.watched(work, None, |_| ()).await
    }

    /// Waits for a statement that may wait for locks, and looks at who holds them meanwhile. `told` is called with
    /// each look that saw something.
    pub async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
        watch: Option<Watch>,
        told: impl Fn(&Seen),
    ) -> Result<T, Fault> {
        if self.interrupt.is_cancelled() {
            return Err(Fault::Interrupted);
        }
        self.yielded.store(false, Ordering::Relaxed);
        if watch.is_some() {
            self.seen().clear();
        }
        tokio::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => result.map_err(Fault::from),
            () = self.interrupt.cancelled() => {
                // A request that cannot be delivered leaves only the end of the connection to stop the statement,
                // and that comes with the end of the process.
                let _ = self.settings.cancel(&self.client.cancel_token()).await;
                let _ = tokio::time::timeout(CANCEL_GRACE, work).await;
                Err(Fault::Interrupted)
            }
            () = self.look_on(watch, told) => Err(Fault::Lost),
        }
    }

    /// Never returns: is dropped when the statement ends.
    async fn look_on(&self, watch: Option<Watch>, told: impl Fn(&Seen)) {
        let Some(watch) = watch else {
            return std::future::pending().await;
        };
        tokio::time::sleep(watch.after).await;
        loop {
            let mut watcher = self.watcher.lock().await;
            let looked = match watcher.client(&self.settings).await {
                Some(client) => watch::look(client, self.pid, &watch).await.ok().map(|seen| (client, seen)),
                None => None,
            };
            let Some((client, seen)) = looked else {
                drop(watcher);
                tokio::time::sleep(watch.every).await;
                continue;
            };
            if !seen.blockers.is_empty() || seen.phase.is_some() {
                told(&seen);
            }
            let waiting = seen.waiting_for_us;
            if !seen.blockers.is_empty() {
                *self.seen() = seen.blockers;
            }
            if watch.yield_after.is_some_and(|limit| waiting >= limit) {
                self.yielded.store(true, Ordering::Relaxed);
                // Our own statement goes first; the application's is let through.
                let _ = client.query("SELECT pg_catalog.pg_cancel_backend($1)", &[&self.pid]).await;
            }
            drop(watcher);
            tokio::time::sleep(watch.every).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Blocker>> {
        self.blockers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blockers that the last watched statement met.
    pub fn blockers(&self) -> Vec<Blocker> {
        self.seen().clone()
    }

    /// Whether our own watchdog cancelled the last watched statement.
    pub fn yielded(&self) -> bool {
        self.yielded.load(Ordering::Relaxed)
    }

    /// Sleeps, unless interrupted.
    pub async fn pause(&self, duration: Duration) -> Result<(), Fault> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.interrupt.cancelled() => Err(Fault::Interrupted),
        }
    }

    /// Does what begins, fills and commits a transaction; ends the transaction when any of it failed.
    pub async fn in_transaction<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let done = work.await;
        if done.is_err() {
            self.roll_back().await;
        }
        done
    }

    /// Ends a transaction. The connection is given up when even that fails.
    pub async fn roll_back(&self) {
        let _ = tokio::time::timeout(CANCEL_GRACE, self.client.batch_execute("ROLLBACK")).await;
    }
}

/// Waits until no run holds the database, without taking it: what is planned meanwhile would be planned for a
/// schema that is half changed. `observer` is told once who is waited for.
///
/// # Errors
/// [`Reason::DatabaseBusy`] when it is still held after `patience`.
pub async fn wait_until_free(client: &Client, patience: Duration, observer: &dyn Observer) -> Result<(), RunError> {
    let until = Instant::now() + patience;
    let mut told = false;
    while let Some(holder) = preflight::lock_holder(client, lock_key()).await.map_err(Fault::from).map_err(at_start)? {
        if Instant::now() >= until {
            return Err(busy(Some(holder)));
        }
        if !told {
            observer.progress(&waits_for(&holder));
            told = true;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Whether a run holds the database at this moment.
///
/// # Errors
/// [`RunError`] when the server cannot be asked.
pub async fn is_held(client: &Client) -> Result<bool, RunError> {
    Ok(preflight::lock_holder(client, lock_key()).await.map_err(Fault::from).map_err(at_start)?.is_some())
}

fn busy(holder: Option<preflight::Holder>) -> RunError {
    let holder = holder.map_or_else(|| "another run".to_owned(), |holder| holder.to_string());
    RunError::new(Reason::DatabaseBusy, format!("{holder} holds this database; try again when it has ended"))
}

fn waits_for(holder: &preflight::Holder) -> Progress {
    Progress {
        step: None,
        stage: None,
        state: ProgressState::Waiting,
        rows_done: 0,
        rows_total: None,
        elapsed_milliseconds: 0,
        detail: Some(format!("{holder} holds this database")),
        blockers: Vec::new(),
        summary: None,
    }
}

/// A fault before anything was begun.
fn at_start(fault: Fault) -> RunError {
    match fault {
        Fault::Fatal(error) => error,
        Fault::Interrupted => interrupted(),
        Fault::Lost => RunError::new(Reason::ConnectionLost, "the connection was lost at its start"),
        Fault::Server(error) => preflight::refusal(&error),
    }
}

fn interrupted() -> RunError {
    RunError::new(Reason::Interrupted, "interrupted; run it again to resume")
}

/// Whether a refusal to connect may be gone in a moment: a server that starts, a standby being promoted, an old
/// session of ours that the server has not noticed the end of.
fn may_pass(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Unreachable | Reason::TooManyConnections | Reason::ReadOnly | Reason::DatabaseBusy | Reason::TlsFailed
    )
}
