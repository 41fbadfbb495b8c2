//! Everything that talks to a database: connection, ledger, execution, rollback.
//!
//! [`apply`] and [`rollback`] hold one advisory lock per database, record every step in the schema `wesley` of
//! the target, and can be killed at any point: the next call with the same name goes on from the record.

mod ahead;
mod backfill;
mod check;
mod concurrent;
pub mod connect;
mod context;
pub mod error;
mod execute;
pub mod failpoint;
mod guard;
mod index_repair;
pub mod job;
mod ledger;
mod locks;
mod observe;
mod options;
mod outcome;
mod parallel;
mod preflight;
mod privileges;
mod probe;
mod progress;
mod queue;
mod restore_point;
mod retry;
mod rollback;
mod sample;
mod script;
mod session;
pub mod source;
mod sqlstate;
mod stall;
mod status;
mod terminate;
pub mod text;
pub mod tls;
mod transaction;
mod watch;
mod watcher;

pub(crate) use backfill::require_address;
pub use error::{Reason, RunError};
pub(crate) use execute::require_name;
pub use execute::{Request, apply, schema_unreadable};
pub use ledger::runs::RunState;
pub use options::{BackfillOptions, Gates, Holds, Options, WindowEnd, interrupt_on_signals};
pub use outcome::{Ending, RunOutcome};
pub use progress::{Observer, Progress, ProgressState, Summary};
pub use rollback::rollback;
pub use session::{is_held, wait_until_free};
pub use status::{Recall, RunRow, status};
pub use terminate::Terminate;
pub use watch::Blocker;
