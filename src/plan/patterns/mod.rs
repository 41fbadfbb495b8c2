//! Rules that turn one change into safe steps, one file each. The first that has an answer wins, provided that
//! the simulation of its steps ends where the author's own statement ends.

mod add_column;
pub(super) mod as_written;
mod attach_partition;
mod check;
mod column_type;
pub(super) mod data;
mod drop;
pub(super) mod enum_value;
mod foreign_key;
mod index;
mod materialized_view;
mod not_null;
mod parts;
mod rename;
mod replace_key;
pub(super) mod shadow_column;
mod split;
mod unique;

use super::draft::Piece;
use super::expand::Context;

/// A rule with its name.
pub(super) struct Pattern {
    /// As plans show it.
    pub name: &'static str,
    /// The pieces, or `None` when the rule does not apply.
    pub plan: fn(&Context<'_>) -> Option<Vec<Piece>>,
}

/// As plans show it.
pub(super) const SPLIT: &str = "split";

/// Every pattern in the order in which they are asked.
pub(super) const ALL: &[Pattern] = &[
    Pattern { name: "enum-value", plan: enum_value::plan },
    Pattern { name: "index", plan: index::create },
    Pattern { name: "drop-index", plan: index::drop },
    Pattern { name: "reindex", plan: index::reindex },
    Pattern { name: "drop", plan: drop::plan },
    Pattern { name: "replace-key", plan: replace_key::plan },
    Pattern { name: SPLIT, plan: split::plan },
    Pattern { name: "add-column", plan: add_column::plan },
    Pattern { name: "not-null", plan: not_null::plan },
    Pattern { name: "unique", plan: unique::plan },
    Pattern { name: "foreign-key", plan: foreign_key::plan },
    Pattern { name: "check", plan: check::plan },
    Pattern { name: "column-type", plan: column_type::plan },
    Pattern { name: "attach-partition", plan: attach_partition::plan },
    Pattern { name: "refresh", plan: materialized_view::refresh },
    Pattern { name: "rename", plan: rename::plan },
    Pattern { name: shadow_column::NAME, plan: shadow_column::plan },
    Pattern { name: data::NAME, plan: data::plan },
];
