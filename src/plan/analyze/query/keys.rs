//! Foreign keys, seen from both sides, when rows change: the server's own queries lock and read the other table.

use std::collections::BTreeSet;

use super::Reader;
use super::access::{lookup_wins, unique_index};
use super::change::{Change, Event};
use super::literal::Literal;
use super::partitions::routed;
use crate::catalog::{Constraint, ConstraintKind, RelationKind};
use crate::plan::analyze::effects;
use crate::plan::analyze::resolve::{Referencing, Rel};
use crate::plan::lock::LockMode;

impl<'a> Reader<'_, 'a> {
    /// Rows are new in `table`, or the columns of a foreign key change: RowShare on what the key references.
    pub(super) fn check_references(&mut self, table: Rel<'a>, change: &Change) {
        for constraint in table.relation.constraints.iter().filter(|constraint| constraint.enforced) {
            let ConstraintKind::ForeignKey { references, referenced_columns, match_type, from_parent, .. } =
                &constraint.kind
            else {
                continue;
            };
            // A key to a partitioned table has a copy for each of its partitions, which is not looked up itself.
            let copy = *from_parent && table.relation.partition_bound.is_none();
            // A deferred one is looked up at the end of the transaction only.
            if copy || constraint.initially_deferred {
                continue;
            }
            let Some(referenced) = self.resolver.get(references) else { continue };
            for row in change.rows() {
                let values: Vec<Option<Literal>> =
                    constraint.columns.iter().map(|column| change.value(row, column)).collect();
                let touched = constraint.columns.iter().any(|column| change.touches(column));
                let is_null = |value: &Option<Literal>| *value == Some(Literal::Null);
                // A NULL in the key leaves nothing to look for.
                let nothing = if *match_type == 'f' { values.iter().all(is_null) } else { values.iter().any(is_null) };
                if !touched || nothing {
                    continue;
                }
                let value = |column: &str| {
                    let position = referenced_columns.iter().position(|referenced| referenced == column)?;
                    values.get(position).cloned().flatten()
                };
                self.look_up(referenced, referenced_columns, &value);
            }
        }
    }

    fn look_up(&mut self, table: Rel<'a>, columns: &[String], value: &dyn Fn(&str) -> Option<Literal>) {
        let columns: BTreeSet<String> = columns.iter().cloned().collect();
        for member in routed(self.resolver, table, value) {
            self.impact.lock(member.name.clone(), LockMode::RowShare);
            self.look_into(member, &columns);
        }
    }

    /// The query finds one row through a unique index, if that is cheaper than reading the table.
    fn look_into(&mut self, table: Rel<'a>, columns: &BTreeSet<String>) {
        let by_index =
            unique_index(self.resolver, table, columns).is_some() && lookup_wins(table.relation, columns.len());
        if !by_index {
            effects::scan(&mut self.impact, table);
        }
    }

    /// Rows of `table` go, or columns that are referenced change: RowShare on the referencing tables, RowExclusive
    /// where the key says CASCADE, SET NULL or SET DEFAULT.
    pub(super) fn check_referencing(&mut self, table: Rel<'a>, change: &Change) {
        let above = self.resolver.ancestors(table);
        let guarded = std::iter::once(table)
            .chain(above.into_iter().filter(|above| above.relation.kind == RelationKind::PartitionedTable));
        let keys: Vec<Referencing<'a>> = guarded.flat_map(|guarded| self.resolver.referencing(guarded.name)).collect();
        for key in keys {
            let ConstraintKind::ForeignKey { referenced_columns, on_update, on_delete, from_parent, .. } =
                &key.constraint.kind
            else {
                continue;
            };
            let touched =
                change.event() == Event::Delete || referenced_columns.iter().any(|column| change.touches(column));
            if !key.constraint.enforced || *from_parent || !touched {
                continue;
            }
            let action = if change.event() == Event::Delete { *on_delete } else { *on_update };
            if action == 'a' {
                // Another row may have taken the key over meanwhile.
                let columns: BTreeSet<String> = referenced_columns.iter().cloned().collect();
                self.look_into(table, &columns);
            }
            self.act_on(key.table, key.constraint, action, change.event());
        }
    }

    fn act_on(&mut self, table: Rel<'a>, constraint: &'a Constraint, action: char, event: Event) {
        let changes = matches!(action, 'c' | 'n' | 'd');
        let mode = if changes { LockMode::RowExclusive } else { LockMode::RowShare };
        let columns: BTreeSet<String> = constraint.columns.iter().cloned().collect();
        let members =
            if table.relation.kind == RelationKind::PartitionedTable { self.resolver.tree(table) } else { vec![table] };
        for member in members {
            self.impact.lock(member.name.clone(), mode);
            self.look_into(member, &columns);
            if !changes || self.cascading.contains(member.name) {
                continue;
            }
            self.cascading.push(member.name.clone());
            let change = if action == 'c' && event == Event::Delete {
                Change::delete()
            } else {
                Change::update(constraint.columns.iter().map(|column| (column.clone(), None)))
            };
            self.after_change(member, &change);
            self.cascading.pop();
        }
    }
}
