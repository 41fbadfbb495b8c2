//! Forms of ALTER TABLE that older servers cannot parse.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, ColumnDef, ConstrType, Constraint, ObjectType};

use crate::plan::analyze::since::{Feature, require};
use crate::plan::analyze::{Impact, Resolver};

/// 42601 for the first subcommand that the server's major does not have.
pub(super) fn check(commands: &[&AlterTableCmd], object: ObjectType, impact: &mut Impact, resolver: &Resolver<'_>) {
    for command in commands {
        for feature in features(command, object) {
            require(impact, resolver, feature);
        }
    }
}

fn features(command: &AlterTableCmd, object: ObjectType) -> Vec<Feature> {
    use AlterTableType as T;
    let node = command.def.as_ref().and_then(|def| def.node.as_ref());
    match (command.subtype(), node) {
        (T::AtSetAccessMethod, _) if command.name.is_empty() => {
            vec![Feature::SetAccessMethod, Feature::AccessMethodDefault]
        }
        (T::AtSetAccessMethod, _) => vec![Feature::SetAccessMethod],
        (T::AtSetExpression, _) => vec![Feature::SetExpression],
        // The number may be left out only as DEFAULT, from 17 on; index columns are named by number.
        (T::AtSetStatistics, None) => vec![Feature::StatisticsDefault],
        (T::AtSetStorage, Some(NodeEnum::String(storage))) if storage.sval.eq_ignore_ascii_case("default") => {
            vec![Feature::SetStorageDefault]
        }
        (T::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => of_column(column),
        (T::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => of_constraint(constraint, true),
        (T::AtAlterConstraint, Some(NodeEnum::AtalterConstraint(change))) => {
            let mut features = Vec::new();
            if change.alter_enforceability {
                features.push(Feature::NotEnforced);
            }
            // NO INHERIT parsed before, and was refused later.
            if change.alter_inheritability && !change.noinherit {
                features.push(Feature::AlterConstraintInherit);
            }
            features
        }
        (T::AtSetLogged | T::AtSetUnLogged, _) if object == ObjectType::ObjectSequence => Vec::new(),
        _ => Vec::new(),
    }
}

/// What in a column's definition is younger than the oldest server.
pub(in crate::plan::analyze) fn of_column(column: &ColumnDef) -> Vec<Feature> {
    let mut features = Vec::new();
    if !column.storage_name.is_empty() || !column.storage.is_empty() {
        features.push(Feature::ColumnStorage);
    }
    for constraint in column.constraints.iter().filter_map(constraint_of) {
        features.extend(of_constraint(constraint, false));
    }
    features
}

/// What in a constraint is younger than the oldest server.
pub(in crate::plan::analyze) fn of_constraint(constraint: &Constraint, of_table: bool) -> Vec<Feature> {
    let mut features = Vec::new();
    match constraint.contype() {
        ConstrType::ConstrAttrNotEnforced | ConstrType::ConstrAttrEnforced => features.push(Feature::NotEnforced),
        ConstrType::ConstrGenerated if constraint.generated_kind == "v" => features.push(Feature::VirtualColumn),
        ConstrType::ConstrNotnull if of_table || constraint.is_no_inherit => features.push(Feature::NamedNotNull),
        ConstrType::ConstrCheck | ConstrType::ConstrForeign if of_table && !constraint.is_enforced => {
            features.push(Feature::NotEnforced);
        }
        _ => {}
    }
    if constraint.nulls_not_distinct {
        features.push(Feature::NullsNotDistinct);
    }
    if constraint.without_overlaps || constraint.fk_with_period || constraint.pk_with_period {
        features.push(Feature::WithoutOverlaps);
    }
    if !constraint.fk_del_set_cols.is_empty() {
        features.push(Feature::ForeignKeySetColumns);
    }
    features
}

fn constraint_of(node: &pg_query::protobuf::Node) -> Option<&Constraint> {
    match node.node.as_ref()? {
        NodeEnum::Constraint(constraint) => Some(constraint),
        _ => None,
    }
}
