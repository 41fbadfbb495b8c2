//! The names inside a relation: finding and replacing them.

use crate::catalog::expression::Renaming;
use crate::catalog::{Column, ColumnReference, ConstraintKind, DataType, Name, Relation};

/// Replaces names in the structure of a relation; `true` when one changed. Texts are another matter.
pub(super) fn replace(relation: &mut Relation, own: &Name, renaming: &Renaming) -> bool {
    let mut names = Replacing { renaming, changed: false };
    for column in &mut relation.columns {
        names.column(column);
    }
    for constraint in &mut relation.constraints {
        names.local_columns(own, &mut constraint.columns);
        names.functions(&mut constraint.functions);
        names.optional(&mut constraint.index);
        if let ConstraintKind::ForeignKey { references, referenced_columns, delete_columns, .. } = &mut constraint.kind
        {
            names.local_columns(&references.clone(), referenced_columns);
            names.local_columns(own, delete_columns);
            names.relation(references);
        }
    }
    for trigger in &mut relation.triggers {
        names.local_columns(own, &mut trigger.columns);
        names.function(&mut trigger.function);
        names.functions(&mut trigger.functions);
        names.optional(&mut trigger.references);
    }
    for rule in &mut relation.rules {
        names.references(&mut rule.references);
        names.functions(&mut rule.functions);
    }
    for policy in &mut relation.policies {
        names.references(&mut policy.references);
        names.functions(&mut policy.functions);
    }
    for parent in &mut relation.parents {
        names.relation(parent);
    }
    if let Some(key) = &mut relation.partition_key {
        names.local_columns(own, &mut key.columns);
        names.functions(&mut key.functions);
        names.optional(&mut key.default_partition);
    }
    if let Some(of) = &mut relation.of_type {
        names.data_type_name(of);
    }
    if let Some(view) = &mut relation.view {
        names.references(&mut view.references);
        names.functions(&mut view.functions);
        view.types.iter_mut().for_each(|name| names.data_type_name(name));
        view.types.sort();
    }
    if let Some(index) = &mut relation.index {
        let table = index.table.clone();
        for key in &mut index.keys {
            if let Some(column) = &mut key.column {
                names.local_column(&table, column);
            }
        }
        names.local_columns(&table, &mut index.include);
        names.local_columns(&table, &mut index.expression_columns);
        names.functions(&mut index.functions);
        names.relation(&mut index.table);
        names.optional(&mut index.parent);
    }
    if let Some(owner) = relation.sequence.as_mut().and_then(|sequence| sequence.owned_by.as_mut()) {
        names.reference(owner);
    }
    names.changed
}

/// Whether a relation has a name in it that changes.
pub(super) fn mentioned(relation: &Relation, renaming: &Renaming) -> bool {
    let table = |name: &Name| renaming.of_relation(name).is_some();
    let function = |name: &Name| renaming.of_function(name).is_some();
    let data_type = |name: &Name| renaming.of_type(name).is_some();
    let reference = |own: &ColumnReference| {
        table(&own.relation)
            || own.column.as_deref().is_some_and(|column| renaming.of_column(&own.relation, column).is_some())
    };
    let functions = |names: &[Name]| names.iter().any(function);
    let references = |list: &[ColumnReference]| list.iter().any(reference);
    relation.columns.iter().any(|own| {
        data_type(&own.data_type.name)
            || own.owned_sequence.as_ref().is_some_and(table)
            || references(&own.references)
            || functions(&own.functions)
    }) || relation.constraints.iter().any(|own| {
        functions(&own.functions)
            || own.index.as_ref().is_some_and(table)
            || match &own.kind {
                ConstraintKind::ForeignKey { references, referenced_columns, .. } => {
                    table(references)
                        || referenced_columns.iter().any(|column| renaming.of_column(references, column).is_some())
                }
                _ => false,
            }
    }) || relation
        .triggers
        .iter()
        .any(|own| function(&own.function) || functions(&own.functions) || own.references.as_ref().is_some_and(table))
        || relation.rules.iter().any(|own| references(&own.references) || functions(&own.functions))
        || relation.policies.iter().any(|own| references(&own.references) || functions(&own.functions))
        || relation.parents.iter().any(table)
        || relation
            .partition_key
            .as_ref()
            .is_some_and(|own| functions(&own.functions) || own.default_partition.as_ref().is_some_and(table))
        || relation.of_type.as_ref().is_some_and(data_type)
        || relation.view.as_ref().is_some_and(|own| {
            references(&own.references) || functions(&own.functions) || own.types.iter().any(data_type)
        })
        || relation.index.as_ref().is_some_and(|own| {
            table(&own.table)
                || own.parent.as_ref().is_some_and(table)
                || functions(&own.functions)
                || renaming.column.as_ref().is_some_and(|(of, _, _)| *of == own.table)
        })
        || relation.sequence.as_ref().and_then(|own| own.owned_by.as_ref()).is_some_and(reference)
}

/// Replaces names in the structure of a column or attribute.
pub(super) fn in_column(column: &mut Column, renaming: &Renaming) -> bool {
    let mut names = Replacing { renaming, changed: false };
    names.column(column);
    names.changed
}

/// Replaces names in a list of references.
pub(super) fn in_references(references: &mut [ColumnReference], renaming: &Renaming) -> bool {
    let mut names = Replacing { renaming, changed: false };
    names.references(references);
    names.changed
}

/// Replaces the name of a type and how it is printed.
pub(super) fn in_type(data_type: &mut DataType, renaming: &Renaming) -> bool {
    let mut names = Replacing { renaming, changed: false };
    names.data_type(data_type);
    names.changed
}

struct Replacing<'a> {
    renaming: &'a Renaming,
    changed: bool,
}

impl Replacing<'_> {
    fn put<T>(&mut self, place: &mut T, new: Option<T>) {
        if let Some(new) = new {
            *place = new;
            self.changed = true;
        }
    }

    fn relation(&mut self, name: &mut Name) {
        let new = self.renaming.of_relation(name);
        self.put(name, new);
    }

    fn optional(&mut self, name: &mut Option<Name>) {
        if let Some(name) = name {
            self.relation(name);
        }
    }

    fn function(&mut self, name: &mut Name) {
        let new = self.renaming.of_function(name);
        self.put(name, new);
    }

    fn functions(&mut self, names: &mut [Name]) {
        names.iter_mut().for_each(|name| self.function(name));
        names.sort();
    }

    fn data_type_name(&mut self, name: &mut Name) {
        let new = self.renaming.of_type(name);
        self.put(name, new);
    }

    fn data_type(&mut self, data_type: &mut DataType) {
        if let Some(new) = self.renaming.of_type(&data_type.name) {
            data_type.sql = data_type.sql.replacen(&data_type.name.to_string(), &new.to_string(), 1);
            data_type.name = new;
            self.changed = true;
        }
    }

    fn column(&mut self, column: &mut Column) {
        self.data_type(&mut column.data_type);
        self.optional(&mut column.owned_sequence);
        self.references(&mut column.references);
        self.functions(&mut column.functions);
    }

    fn reference(&mut self, reference: &mut ColumnReference) {
        if let Some(column) = &mut reference.column {
            self.local_column(&reference.relation.clone(), column);
        }
        self.relation(&mut reference.relation);
    }

    fn references(&mut self, references: &mut [ColumnReference]) {
        references.iter_mut().for_each(|reference| self.reference(reference));
        references.sort();
    }

    fn local_column(&mut self, relation: &Name, column: &mut String) {
        let new = self.renaming.of_column(relation, column);
        self.put(column, new);
    }

    fn local_columns(&mut self, relation: &Name, columns: &mut [String]) {
        columns.iter_mut().for_each(|column| self.local_column(relation, column));
    }
}
