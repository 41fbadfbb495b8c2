//! Types: enums, domains, composite types, ranges, and what is defined beside them.

mod create;
mod domain;
mod enums;

pub(super) use create::{alter_type, create_composite, create_domain, create_enum, create_range, define};
pub(super) use domain::alter_domain;
pub(super) use enums::alter_enum;
