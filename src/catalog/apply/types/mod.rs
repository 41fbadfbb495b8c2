//! User-defined types.

mod composite;
mod domains;
mod enums;
mod ranges;

pub(super) use self::composite::create as create_composite;
pub(super) use self::domains::{alter as alter_domain, create as create_domain};
pub(super) use self::enums::{alter as alter_enum, create as create_enum};
pub(super) use self::ranges::create as create_range;

use super::edit::{Edit, Outcome, fail};
use super::{names, privileges};
use crate::catalog::{Name, TypeKind, UserType};

/// Adds a type under a name that must be free.
pub(super) fn add(edit: &mut Edit<'_>, parts: &[String], kind: TypeKind) -> Outcome<Name> {
    let name = names::creation_from(edit, parts)?;
    if edit.types.contains_key(&name) || edit.relations.contains_key(&name) {
        fail!("type {name} already exists");
    }
    let owner = edit.server.user.clone();
    let privileges = privileges::initial(edit, 'T', &name.schema, &owner);
    edit.put_type(name.clone(), UserType { kind, owner, privileges, comment: None, extension: None });
    Ok(name)
}
