//! RENAME of a relation.

use pg_query::protobuf::{ObjectType, RenameStmt};

use crate::catalog::{Name, RelationKind};
use crate::plan::analyze::objects::{relation_matches, relation_phrase};
use crate::plan::analyze::refusal::{kind_word, object_exists, relation_exists, require_relation, wrong_kind};
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// AccessExclusive; ShareUpdateExclusive for an index renamed with `ALTER INDEX`. Partitions keep their names.
pub(super) fn rename(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>, kind: ObjectType) {
    let Some(name) = &statement.relation else { return };
    let Some(found) = require_relation(impact, resolver, name, statement.missing_ok) else { return };
    let is_index = found.relation.kind.is_index();
    // ALTER TABLE renames anything; ALTER INDEX falls back to the lock of ALTER TABLE.
    let accepted = matches!(kind, ObjectType::ObjectTable | ObjectType::ObjectIndex)
        || relation_matches(kind, found.relation.kind);
    if !accepted {
        return wrong_kind(impact, &found.name.name, relation_phrase(kind));
    }
    let mode = if kind == ObjectType::ObjectIndex && is_index {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessExclusive
    };
    impact.lock(found.name.clone(), mode);
    let new = Name::new(found.name.schema.clone(), statement.newname.clone());
    let has_type = !is_index && found.relation.kind != RelationKind::Sequence;
    if resolver.get(&new).is_some() {
        relation_exists(impact, &new.name);
    } else if has_type && resolver.type_exists(&new) {
        object_exists(impact, "type", &new.name);
    }
    if !is_index {
        impact.hazard(
            HazardId::BreaksClients,
            Some(found.name),
            format!("Clients that use the {} by its old name fail.", kind_word(found.relation.kind)),
        );
    }
}
