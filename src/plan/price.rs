//! What has no safe form on the server: why, and the way round it.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ConstrType, Node, VacuumStmt};

/// Why the statement makes others wait whatever one does, and what can be done instead; `None` where it is
/// not known to be so.
pub(super) fn no_safe_form(node: &NodeEnum) -> Option<&'static str> {
    match node {
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().find_map(subcommand),
        NodeEnum::AlterDomainStmt(_) => Some(
            "the server proves a domain's constraint under a lock on every table that uses it, NOT VALID or not. Way \
             round: a check constraint on each table, which can be proven while reads and writes go on",
        ),
        NodeEnum::ClusterStmt(_) => Some(REPACK),
        NodeEnum::VacuumStmt(vacuum) if is_full(vacuum) => Some(REPACK),
        NodeEnum::RefreshMatViewStmt(refresh) if !refresh.concurrent => Some(
            "the server fills a materialized view beside its readers only if it has a unique index over plain columns of \
             all rows. Way round: create one first",
        ),
        _ => None,
    }
}

const REPACK: &str = "the server writes the table anew under its strongest lock. Way round: pg_repack does the same beside \
                      readers and writers";

fn is_full(vacuum: &VacuumStmt) -> bool {
    vacuum.options.iter().any(|option| match &option.node {
        Some(NodeEnum::DefElem(option)) => option.defname == "full",
        _ => false,
    })
}

fn subcommand(command: &Node) -> Option<&'static str> {
    let Some(NodeEnum::AlterTableCmd(command)) = &command.node else {
        return None;
    };
    match command.subtype() {
        AlterTableType::AtAddConstraint => match command.def.as_ref()?.node.as_ref()? {
            NodeEnum::Constraint(constraint) if constraint.contype() == ConstrType::ConstrExclusion => Some(
                "an exclusion constraint takes no index that is there already, and cannot be NOT VALID. Way round: a new \
                 table with the constraint, filled in batches, in the place of the old one; or a quiet hour",
            ),
            _ => None,
        },
        AlterTableType::AtSetLogged | AlterTableType::AtSetUnLogged => Some(
            "the server writes the table anew to change its persistence. Way round: a new table of the other kind, filled \
             in batches; or a quiet hour",
        ),
        AlterTableType::AtSetAccessMethod | AlterTableType::AtSetTableSpace => Some(
            "the server copies the table under its strongest lock. Way round: pg_repack can move a table beside readers \
             and writers; indexes move with REINDEX (CONCURRENTLY, TABLESPACE ...)",
        ),
        AlterTableType::AtSetExpression => Some(
            "a stored generated column is computed anew for every row. Way round: an ordinary column that a trigger \
             fills",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    #[test]
    fn only_what_has_no_other_form() {
        for (text, expected) in [
            ("ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&)", true),
            ("ALTER TABLE t ADD UNIQUE (a)", false),
            ("ALTER TABLE t ADD COLUMN a int, SET UNLOGGED", true),
            ("VACUUM FULL t", true),
            ("VACUUM t", false),
            ("CLUSTER t USING i", true),
            ("ALTER DOMAIN d ADD CHECK (VALUE > 0)", true),
            ("CREATE INDEX ON t (a)", false),
        ] {
            let statement = parse(text).unwrap().remove(0);
            assert_eq!(no_safe_form(&statement.node).is_some(), expected, "{text}");
        }
    }
}
