//! `LIKE source INCLUDING ...`.

use pg_query::protobuf::TableLikeClause;

use super::super::constraint::{not_null, put};
use super::super::edit::{Edit, Outcome, fail};
use super::super::{index, names, sequence, statistics};
use crate::catalog::{Column, Constraint, ConstraintKind, Name, Relation};

/// Bits of `TableLikeOption` (parsenodes.h).
const COMMENTS: u32 = 1 << 0;
const COMPRESSION: u32 = 1 << 1;
const CONSTRAINTS: u32 = 1 << 2;
const DEFAULTS: u32 = 1 << 3;
const GENERATED: u32 = 1 << 4;
const IDENTITY: u32 = 1 << 5;
const INDEXES: u32 = 1 << 6;
const STATISTICS: u32 = 1 << 7;
const STORAGE: u32 = 1 << 8;

fn source<'a>(edit: &'a Edit<'_>, clause: &TableLikeClause) -> Outcome<(Name, &'a Relation)> {
    let name = names::relation(edit, clause.relation.as_ref())?;
    let relation = edit.relation(&name)?;
    Ok((name, relation))
}

/// The columns the clause stands for.
pub(super) fn columns(edit: &Edit<'_>, clause: &TableLikeClause) -> Outcome<Vec<Column>> {
    let has = |bit| clause.options & bit != 0;
    let (name, relation) = source(edit, clause)?;
    if relation.columns_unknown {
        fail!("the columns of {name} are not known");
    }
    let copy = |column: &Column| {
        let mut own = Column::new(column.name.clone(), column.data_type.clone());
        own.collation.clone_from(&column.collation);
        own.not_null = column.not_null && edit.major() < 18;
        let keeps = match column.generated {
            Some(_) => has(GENERATED),
            None => has(DEFAULTS),
        };
        if keeps {
            own.default.clone_from(&column.default);
            own.generated = column.generated;
            own.references.clone_from(&column.references);
            own.functions.clone_from(&column.functions);
        }
        if has(IDENTITY) {
            own.identity = column.identity;
        }
        if has(STORAGE) {
            own.storage.clone_from(&column.storage);
        }
        if has(COMPRESSION) {
            own.compression.clone_from(&column.compression);
        }
        if has(COMMENTS) {
            own.comment.clone_from(&column.comment);
        }
        own
    };
    Ok(relation.columns.iter().map(copy).collect())
}

/// Checks and not-nulls: what comes before the table's own constraints.
pub(super) fn constraints(edit: &mut Edit<'_>, table: &Name, clause: &TableLikeClause) -> Outcome {
    let (name, relation) = source(edit, clause)?;
    let relation = relation.clone();
    super::inherit::own_references(edit, table, &name)?;
    for constraint in &relation.constraints {
        match &constraint.kind {
            ConstraintKind::NotNull => {
                let Some(column) = constraint.columns.first() else { continue };
                let request = not_null::Request {
                    name: Some(&constraint.name),
                    no_inherit: constraint.no_inherit,
                    ..not_null::Request::plain()
                };
                not_null::set(edit, table, column, &request)?;
            }
            ConstraintKind::Check { .. } if clause.options & CONSTRAINTS != 0 => {
                let comment = constraint.comment.clone().filter(|_| clause.options & COMMENTS != 0);
                let own = Constraint {
                    definition: String::new(),
                    local: true,
                    inherited: 0,
                    validated: constraint.enforced,
                    comment,
                    ..constraint.clone()
                };
                put(edit, table, own)?;
            }
            _ => {}
        }
    }
    for column in relation.columns.iter().filter(|column| clause.options & IDENTITY != 0 && column.identity.is_some()) {
        identity(edit, table, column)?;
    }
    Ok(())
}

/// A sequence like the source's for an identity column.
fn identity(edit: &mut Edit<'_>, table: &Name, column: &Column) -> Outcome {
    let own = edit.relation(table)?;
    let of = (own.persistence, own.owner.clone());
    let data_type = sequence::data_type(&column.data_type.name.name);
    let name = sequence::add_for_column(edit, table, &column.name, data_type, &[], of)?;
    let numbers = column.owned_sequence.as_ref().and_then(|source| edit.relations.get(source)?.sequence.clone());
    if let (Some(numbers), Some(own)) = (numbers, &mut edit.relation_mut(&name)?.sequence) {
        **own = crate::catalog::Sequence { owned_by: None, identity: true, ..*numbers };
    }
    sequence::own(edit, &name, table, &column.name, true)
}

/// Indexes and statistics objects: what comes after the table's own constraints.
pub(super) fn rest(edit: &mut Edit<'_>, table: &Name, clause: &TableLikeClause) -> Outcome {
    let (name, relation) = source(edit, clause)?;
    let constraints = relation.constraints.clone();
    let has = |bit| clause.options & bit != 0;
    if has(INDEXES) {
        for source in names::indexes(edit, &name) {
            copy_index(edit, table, &source, &constraints, has(COMMENTS))?;
        }
    }
    if has(STATISTICS) {
        statistics::copy(edit, &name, table, has(COMMENTS))?;
    }
    if has(COMMENTS) {
        // The table's own comment is not copied.
    }
    Ok(())
}

fn copy_index(edit: &mut Edit<'_>, table: &Name, source: &Name, constraints: &[Constraint], comments: bool) -> Outcome {
    let wish = index::like(edit, source)?;
    let exclusion = constraints
        .iter()
        .find(|constraint| constraint.index.as_ref() == Some(source) && constraint.kind == ConstraintKind::Exclusion);
    let comment = edit.relation(source)?.comment.clone();
    let name = index::add(edit, table, &wish)?;
    if comments {
        edit.relation_mut(&name)?.comment = comment;
    }
    if let Some(exclusion) = exclusion {
        let own = Constraint { name: name.name.clone(), index: Some(name.clone()), comment: None, ..exclusion.clone() };
        return put(edit, table, own);
    }
    if !wish.constraint {
        return Ok(());
    }
    super::super::constraint::unique::behind(edit, table, &name, &wish)?;
    super::super::constraint::change(edit, table, &name.name, |constraint| constraint.no_inherit = true)
}
