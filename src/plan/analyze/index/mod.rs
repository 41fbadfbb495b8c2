//! CREATE INDEX and REINDEX.

mod create;
mod matching;
mod reindex;

pub(super) use create::create_index;
pub(super) use reindex::reindex;
