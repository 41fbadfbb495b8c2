//! CREATE INDEX and REINDEX.

mod create;
mod matching;
mod reindex;

pub(super) use create::{create_index, is_virtual};
pub(super) use reindex::reindex;
