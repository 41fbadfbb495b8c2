//! Reading SQL with PostgreSQL's own parser, and writing identifiers by the server's rules.
//!
//! Pure: no IO, no Kubernetes, no driver. Everything that looks inside SQL text goes through [`parse`].

pub mod compare;
mod directions;
pub mod expression;
mod ffi;
pub mod parse;
pub mod quote;
pub mod render;
mod shape;
mod split;

pub use directions::undo_in_file;
pub use expression::mentioned_columns;
pub use parse::{Span, Statement, SyntaxError, is_query, parse, texts};
pub use shape::shape;
pub use split::{Beginning, beginning};
