//! Storage parameters (`WITH (...)`, `SET (...)`): which relation takes which, and the lock that changing one
//! needs (reloptions.c of 14 to 18).

use pg_query::NodeEnum;
use pg_query::protobuf::DefElem;

use crate::plan::lock::LockMode;

/// What can have storage parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Holder<'a> {
    Table,
    /// The TOAST table behind a table (`toast.` in front of the name).
    Toast,
    View,
    /// An index, by its access method.
    Index(&'a str),
}

/// A parameter: name, holders, lock, bounds of its value, first major.
struct Parameter {
    name: &'static str,
    holders: &'static str,
    lock: LockMode,
    bounds: Option<(f64, f64)>,
    since: i32,
}

const WEAK: LockMode = LockMode::ShareUpdateExclusive;
const STRONG: LockMode = LockMode::AccessExclusive;
const AGE: Option<(f64, f64)> = Some((0.0, 2e9));
const COUNT: Option<(f64, f64)> = Some((0.0, 2_147_483_647.0));
const COUNT_OR_OFF: Option<(f64, f64)> = Some((-1.0, 2_147_483_647.0));
const PERCENT: Option<(f64, f64)> = Some((0.0, 100.0));

/// Holders: `h` table, `t` TOAST, `v` view, else access methods by their first letters.
const fn parameter(
    name: &'static str,
    holders: &'static str,
    lock: LockMode,
    bounds: Option<(f64, f64)>,
    since: i32,
) -> Parameter {
    Parameter { name, holders, lock, bounds, since }
}

const PARAMETERS: &[Parameter] = &[
    parameter("autosummarize", "brin", STRONG, None, 13),
    parameter("autovacuum_analyze_scale_factor", "h", WEAK, PERCENT, 13),
    parameter("autovacuum_analyze_threshold", "h", WEAK, COUNT, 13),
    parameter("autovacuum_enabled", "h t", WEAK, None, 13),
    parameter("autovacuum_freeze_max_age", "h t", WEAK, Some((100_000.0, 2e9)), 13),
    parameter("autovacuum_freeze_min_age", "h t", WEAK, Some((0.0, 1e9)), 13),
    parameter("autovacuum_freeze_table_age", "h t", WEAK, AGE, 13),
    parameter("autovacuum_multixact_freeze_max_age", "h t", WEAK, Some((10_000.0, 2e9)), 13),
    parameter("autovacuum_multixact_freeze_min_age", "h t", WEAK, Some((0.0, 1e9)), 13),
    parameter("autovacuum_multixact_freeze_table_age", "h t", WEAK, AGE, 13),
    parameter("autovacuum_vacuum_cost_delay", "h t", WEAK, PERCENT, 13),
    parameter("autovacuum_vacuum_cost_limit", "h t", WEAK, Some((1.0, 10_000.0)), 13),
    parameter("autovacuum_vacuum_insert_scale_factor", "h t", WEAK, PERCENT, 13),
    parameter("autovacuum_vacuum_insert_threshold", "h t", WEAK, COUNT_OR_OFF, 13),
    parameter("autovacuum_vacuum_max_threshold", "h t", WEAK, COUNT_OR_OFF, 18),
    parameter("autovacuum_vacuum_scale_factor", "h t", WEAK, PERCENT, 13),
    parameter("autovacuum_vacuum_threshold", "h t", WEAK, COUNT, 13),
    parameter("buffering", "gist", STRONG, None, 13),
    parameter("check_option", "v", STRONG, None, 13),
    parameter("deduplicate_items", "btree", WEAK, None, 13),
    parameter("fastupdate", "gin", STRONG, None, 13),
    parameter("fillfactor", "h btree hash gist spgist", WEAK, Some((10.0, 100.0)), 13),
    parameter("gin_pending_list_limit", "gin", STRONG, Some((64.0, 2_147_483_647.0)), 13),
    parameter("log_autovacuum_min_duration", "h t", WEAK, COUNT_OR_OFF, 13),
    parameter("pages_per_range", "brin", STRONG, Some((1.0, 131_072.0)), 13),
    parameter("parallel_workers", "h", WEAK, Some((0.0, 1024.0)), 13),
    parameter("security_barrier", "v", STRONG, None, 13),
    parameter("security_invoker", "v", STRONG, None, 15),
    parameter("toast_tuple_target", "h", WEAK, Some((128.0, 8160.0)), 13),
    parameter("user_catalog_table", "h", STRONG, None, 13),
    parameter("vacuum_cleanup_index_scale_factor", "btree", WEAK, Some((0.0, 1e10)), 13),
    parameter("vacuum_index_cleanup", "h t", WEAK, None, 13),
    parameter("vacuum_max_eager_freeze_failure_rate", "h t", WEAK, Some((0.0, 1.0)), 18),
    parameter("vacuum_truncate", "h t", WEAK, None, 13),
];

/// The lock that changing the parameter needs, whatever has it; `None` for an unknown one (the server then
/// refuses the statement).
pub fn lock(name: &str) -> Option<LockMode> {
    PARAMETERS.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.lock)
}

/// What the server says of the parameter on that holder; `Ok` when it takes it.
///
/// # Errors
/// The message (22023).
pub fn check(option: &DefElem, holder: Holder<'_>, resets: bool, major: i32) -> Result<(), String> {
    let holder = match (option.defnamespace.as_str(), holder) {
        ("toast", Holder::Table) => Holder::Toast,
        ("", holder) => holder,
        (namespace, _) => return Err(format!("unrecognized parameter namespace \"{namespace}\"")),
    };
    let name = option.defname.as_str();
    // Extensions may bring access methods with parameters of their own.
    if let Holder::Index(method) = holder
        && !["btree", "hash", "gist", "spgist", "gin", "brin"].contains(&method)
    {
        return Ok(());
    }
    // Accepted and ignored.
    if name == "oids" && holder == Holder::Table {
        return Ok(());
    }
    let letter = match holder {
        Holder::Table => "h",
        Holder::Toast => "t",
        Holder::View => "v",
        Holder::Index(method) => method,
    };
    let known = PARAMETERS.iter().find(|parameter| {
        parameter.name == name && parameter.since <= major && parameter.holders.split(' ').any(|h| h == letter)
    });
    let Some(parameter) = known else {
        // RESET of what is unknown is silently nothing.
        return if resets { Ok(()) } else { Err(format!("unrecognized parameter \"{name}\"")) };
    };
    match (parameter.bounds, number(option)) {
        (Some((least, most)), Some(value)) if !resets && (value < least || value > most) => {
            Err(format!("the value is out of bounds for option \"{name}\": between {least} and {most}"))
        }
        _ => Ok(()),
    }
}

fn number(option: &DefElem) -> Option<f64> {
    match option.arg.as_ref()?.node.as_ref()? {
        NodeEnum::Integer(value) => Some(f64::from(value.ival)),
        NodeEnum::Float(value) => value.fval.parse().ok(),
        NodeEnum::String(value) => value.sval.parse().ok(),
        _ => None,
    }
}
