//! Taking one object out of the catalog, dependents aside.

use super::super::constraint::drop as constraint;
use super::super::edit::{Edit, Outcome};
use super::super::{sequence, trigger};
use super::Object;
use crate::catalog::{ConstraintKind, Name, ReplicaIdentity, TypeKind};

pub(super) fn remove(edit: &mut Edit<'_>, object: &Object) -> Outcome {
    match object {
        Object::Relation(name) => relation(edit, name),
        Object::Column(of, column) => super::column::take_out(edit, of, column),
        Object::Default(of, column) => default(edit, of, column),
        Object::Constraint(table, name) if edit.relations.contains_key(table) => {
            constraint::remove(edit, table, name, true)
        }
        Object::Trigger(table, name) if edit.relations.contains_key(table) => trigger::remove(edit, table, name),
        Object::Rule(table, name) if edit.relations.contains_key(table) => {
            edit.relation_mut(table)?.rules.retain(|rule| rule.name != *name);
            Ok(())
        }
        Object::Policy(table, name) if edit.relations.contains_key(table) => {
            edit.relation_mut(table)?.policies.retain(|policy| policy.name != *name);
            Ok(())
        }
        Object::DomainConstraint(domain, name) if edit.types.contains_key(domain) => {
            if let TypeKind::Domain { constraints, .. } = &mut edit.type_mut(domain)?.kind {
                constraints.retain(|own| own.name != *name);
            }
            Ok(())
        }
        Object::Type(name) => {
            edit.take_type(name);
            Ok(())
        }
        Object::Function(name, arguments) => {
            let at = edit.functions.iter().position(|own| own.name == *name && own.arguments == *arguments);
            if let Some(at) = at {
                edit.take_function(at);
            }
            Ok(())
        }
        other => {
            small(edit, other);
            Ok(())
        }
    }
}

fn small(edit: &mut Edit<'_>, object: &Object) {
    let small = edit.small();
    match object {
        Object::Cast(source, target) => small.casts.retain(|cast| cast.source != *source || cast.target != *target),
        Object::Statistics(name) => drop(small.statistics.remove(name)),
        Object::Schema(name) => {
            small.schemas.remove(name);
            small.server.search_path.retain(|own| own != name);
            small.default_privileges.retain(|own| own.schema.as_ref() != Some(name));
            for publication in small.publications.values_mut() {
                publication.schemas.retain(|own| own != name);
            }
        }
        Object::Extension(name) => drop(small.extensions.remove(name)),
        Object::Publication(name) => drop(small.publications.remove(name)),
        Object::PublishedTable(name, table) => {
            if let Some(publication) = small.publications.get_mut(name) {
                publication.tables.retain(|own| own != table);
                publication.columns.retain(|own| own.relation != *table);
            }
        }
        Object::EventTrigger(name) => drop(small.event_triggers.remove(name)),
        _ => {}
    }
}

fn default(edit: &mut Edit<'_>, of: &Name, column: &str) -> Outcome {
    if !edit.relations.contains_key(of) {
        return Ok(());
    }
    for own in &mut edit.relation_mut(of)?.columns {
        if own.name == column {
            own.default = None;
            own.references.clear();
            own.functions.clear();
        }
    }
    Ok(())
}

fn relation(edit: &mut Edit<'_>, name: &Name) -> Outcome {
    let Some(relation) = edit.relations.get(name).cloned() else { return Ok(()) };
    if relation.sequence.is_some() {
        sequence::release(edit, name)?;
    }
    if let Some(index) = &relation.index
        && let Ok(table) = edit.relation_mut(&index.table)
    {
        // A constraint goes before its index; what is left here is the index alone.
        if table.replica_identity == ReplicaIdentity::Index(name.name.clone()) {
            table.replica_identity = ReplicaIdentity::Nothing;
        }
        let own = |constraint: &crate::catalog::Constraint| {
            constraint.index.as_ref() == Some(name) && !matches!(constraint.kind, ConstraintKind::ForeignKey { .. })
        };
        table.constraints.retain(|constraint| !own(constraint));
    }
    for parent in &relation.parents {
        if let Ok(parent) = edit.relation_mut(parent)
            && let Some(key) = &mut parent.partition_key
            && key.default_partition.as_ref() == Some(name)
        {
            key.default_partition = None;
        }
    }
    edit.take_relation(name);
    Ok(())
}
