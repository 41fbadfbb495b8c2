//! Which subcommand a kind of relation takes (`ATSimplePermissions` in tablecmds.c).

use pg_query::protobuf::{AlterTableCmd, AlterTableType};

use super::work::Work;
use crate::catalog::RelationKind;
use crate::plan::analyze::refusal::wrong_kind;
use crate::plan::analyze::resolve::Rel;

const TABLE: u8 = 1;
const PARTITIONED: u8 = 1 << 1;
const VIEW: u8 = 1 << 2;
const MATERIALIZED: u8 = 1 << 3;
const INDEX: u8 = 1 << 4;
const PARTITIONED_INDEX: u8 = 1 << 5;
const FOREIGN: u8 = 1 << 6;
const SEQUENCE: u8 = 1 << 7;
const ANY: u8 = u8::MAX;

const TABLES: u8 = TABLE | PARTITIONED;
const ROWS: u8 = TABLES | FOREIGN;
const HEAPS: u8 = TABLES | MATERIALIZED;

/// 42809 when the kind of relation does not have what the subcommand changes.
pub(super) fn check<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, command: &AlterTableCmd) {
    let bit = match target.relation.kind {
        RelationKind::Table => TABLE,
        RelationKind::PartitionedTable => PARTITIONED,
        RelationKind::View => VIEW,
        RelationKind::MaterializedView => MATERIALIZED,
        RelationKind::Index => INDEX,
        RelationKind::PartitionedIndex => PARTITIONED_INDEX,
        RelationKind::ForeignTable => FOREIGN,
        RelationKind::Sequence => SEQUENCE,
    };
    let (kinds, action) = kinds(command.subtype(), work.major());
    if kinds & bit != 0 {
        return;
    }
    if work.major() < 15 {
        wrong_kind(&mut work.impact, &target.name.name, "of a kind that can be altered so");
    } else {
        let message = format!("ALTER action {action} cannot be performed on relation \"{}\"", target.name.name);
        work.impact.refuse("42809", message, "Alter the table that it belongs to, or use the statement for its kind.");
    }
}

fn kinds(subtype: AlterTableType, major: i32) -> (u8, &'static str) {
    use AlterTableType as T;
    match subtype {
        T::AtAddColumn => (ROWS, "ADD COLUMN"),
        T::AtColumnDefault => (ROWS | VIEW, "ALTER COLUMN ... SET DEFAULT"),
        T::AtAddIdentity => (ROWS | VIEW, "ALTER COLUMN ... ADD IDENTITY"),
        T::AtSetIdentity => (ROWS | VIEW, "ALTER COLUMN ... SET"),
        T::AtDropIdentity => (ROWS | VIEW, "ALTER COLUMN ... DROP IDENTITY"),
        T::AtDropNotNull => (ROWS, "ALTER COLUMN ... DROP NOT NULL"),
        T::AtSetNotNull => (ROWS, "ALTER COLUMN ... SET NOT NULL"),
        T::AtSetExpression => (ROWS, "ALTER COLUMN ... SET EXPRESSION"),
        T::AtDropExpression => (ROWS, "ALTER COLUMN ... DROP EXPRESSION"),
        T::AtSetStatistics => (ROWS | MATERIALIZED | INDEX | PARTITIONED_INDEX, "ALTER COLUMN ... SET STATISTICS"),
        T::AtSetOptions => (ROWS | MATERIALIZED, "ALTER COLUMN ... SET"),
        T::AtResetOptions => (ROWS | MATERIALIZED, "ALTER COLUMN ... RESET"),
        T::AtSetStorage => (ROWS | MATERIALIZED, "ALTER COLUMN ... SET STORAGE"),
        T::AtSetCompression => (HEAPS, "ALTER COLUMN ... SET COMPRESSION"),
        T::AtDropColumn => (ROWS, "DROP COLUMN"),
        T::AtAddConstraint => (ROWS, "ADD CONSTRAINT"),
        T::AtAlterConstraint => (TABLES, "ALTER CONSTRAINT"),
        T::AtValidateConstraint => (ROWS, "VALIDATE CONSTRAINT"),
        T::AtDropConstraint => (ROWS, "DROP CONSTRAINT"),
        T::AtAlterColumnType => (ROWS, "ALTER COLUMN ... SET DATA TYPE"),
        T::AtAlterColumnGenericOptions => (FOREIGN, "ALTER COLUMN ... OPTIONS"),
        T::AtGenericOptions => (FOREIGN, "OPTIONS"),
        T::AtClusterOn => (HEAPS, "CLUSTER ON"),
        T::AtDropCluster => (HEAPS, "SET WITHOUT CLUSTER"),
        T::AtSetLogged => (persistent(major), "SET LOGGED"),
        T::AtSetUnLogged => (persistent(major), "SET UNLOGGED"),
        T::AtDropOids => (ROWS, "SET WITHOUT OIDS"),
        T::AtSetAccessMethod => (HEAPS, "SET ACCESS METHOD"),
        T::AtSetTableSpace => (HEAPS | INDEX | PARTITIONED_INDEX, "SET TABLESPACE"),
        T::AtSetRelOptions => (parameters(), "SET"),
        T::AtResetRelOptions => (parameters(), "RESET"),
        T::AtAddInherit => (ROWS, "INHERIT"),
        T::AtDropInherit => (ROWS, "NO INHERIT"),
        T::AtAddOf => (TABLES, "OF"),
        T::AtDropOf => (TABLES, "NOT OF"),
        T::AtReplicaIdentity => (HEAPS, "REPLICA IDENTITY"),
        T::AtEnableRowSecurity => (TABLES, "ENABLE ROW SECURITY"),
        T::AtDisableRowSecurity => (TABLES, "DISABLE ROW SECURITY"),
        T::AtForceRowSecurity => (TABLES, "FORCE ROW SECURITY"),
        T::AtNoForceRowSecurity => (TABLES, "NO FORCE ROW SECURITY"),
        T::AtEnableRule | T::AtEnableAlwaysRule | T::AtEnableReplicaRule => (TABLES, "ENABLE RULE"),
        T::AtDisableRule => (TABLES, "DISABLE RULE"),
        T::AtEnableTrig | T::AtEnableAlwaysTrig | T::AtEnableReplicaTrig => (ROWS, "ENABLE TRIGGER"),
        T::AtEnableTrigAll => (ROWS, "ENABLE TRIGGER ALL"),
        T::AtEnableTrigUser => (ROWS, "ENABLE TRIGGER USER"),
        T::AtDisableTrig => (ROWS, "DISABLE TRIGGER"),
        T::AtDisableTrigAll => (ROWS, "DISABLE TRIGGER ALL"),
        T::AtDisableTrigUser => (ROWS, "DISABLE TRIGGER USER"),
        T::AtAttachPartition => (partitions(major) | PARTITIONED_INDEX, "ATTACH PARTITION"),
        T::AtDetachPartition | T::AtDetachPartitionFinalize => (partitions(major), "DETACH PARTITION"),
        _ => (ANY, ""),
    }
}

/// Before 18 a table that is not partitioned gets as far as a check of its own.
fn partitions(major: i32) -> u8 {
    if major >= 18 { PARTITIONED } else { TABLES }
}

/// Before 18 partitioned tables took SET LOGGED without effect; sequences take it from 15 on.
fn persistent(major: i32) -> u8 {
    let tables = if major >= 18 { TABLE } else { TABLES };
    if major >= 15 { tables | SEQUENCE } else { tables }
}

/// A partitioned table is refused for its parameters one by one.
fn parameters() -> u8 {
    TABLES | VIEW | MATERIALIZED | INDEX
}
