//! What we know of the target schema.
//!
//! [`model`] is data without IO: it can be read from a server ([`introspect`], the only place with catalog
//! queries), from a file, or be evolved statement by statement ([`apply`]).

pub mod apply;
pub mod builtin;
pub mod compare;
pub(crate) mod expression;
pub mod fingerprint;
pub mod introspect;
pub mod model;
pub mod naming;
pub mod types;

pub use model::*;
