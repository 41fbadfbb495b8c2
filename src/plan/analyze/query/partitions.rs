//! Which partitions a condition or a row leaves over.

use std::cmp::Ordering;

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, PartitionBoundSpec, PartitionRangeDatumKind};

use super::hash::belongs;
use super::literal::Literal;
use crate::catalog::{Relation, RelationKind};
use crate::plan::analyze::implication::Zone;
use crate::plan::analyze::resolve::{Rel, Resolver};
use crate::sql::quote;

/// An end of a range of partition key values.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan::analyze) enum End {
    /// MINVALUE, MAXVALUE, or no limit.
    Open,
    /// The value itself.
    At(Literal),
}

/// The bound of a partition, for keys of one column.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan::analyze) enum Bound {
    /// Takes what no other takes.
    Default,
    /// From (inclusive) to (exclusive).
    Range(End, End),
    /// These values.
    List(Vec<Literal>),
    /// Values whose hash has this remainder (second) by the modulus (first).
    Hash(u64, u64),
    /// What rules cannot read.
    Unknown,
}

/// The bound of a partition, read from the server's text.
fn bound_of(partition: &Relation) -> Bound {
    let Some(text) = &partition.partition_bound else { return Bound::Unknown };
    let Ok(parsed) = crate::sql::parse(&format!("CREATE TABLE x PARTITION OF y {text}")) else { return Bound::Unknown };
    match parsed.first().map(|statement| &statement.node) {
        Some(NodeEnum::CreateStmt(create)) => create.partbound.as_ref().map_or(Bound::Unknown, Bound::new),
        _ => Bound::Unknown,
    }
}

impl Bound {
    /// From the parser's form.
    pub fn new(spec: &PartitionBoundSpec) -> Self {
        if spec.is_default {
            return Self::Default;
        }
        let constants = |nodes: &[Node]| -> Option<Vec<Literal>> {
            nodes.iter().map(|node| Literal::of(node.node.as_ref()?)).collect()
        };
        match spec.strategy.as_str() {
            "l" => constants(&spec.listdatums).map_or(Self::Unknown, Self::List),
            "r" => match (spec.lowerdatums.as_slice(), spec.upperdatums.as_slice()) {
                ([lower], [upper]) => match (end(lower), end(upper)) {
                    (Some(lower), Some(upper)) => Self::Range(lower, upper),
                    _ => Self::Unknown,
                },
                _ => Self::Unknown,
            },
            "h" => match (u64::try_from(spec.modulus), u64::try_from(spec.remainder)) {
                (Ok(modulus), Ok(remainder)) => Self::Hash(modulus, remainder),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// The bound of a key of points in time, as numbers.
    fn in_time(self, zone: &Zone) -> Self {
        let end = |end: End| match end {
            End::Open => Some(End::Open),
            End::At(literal) => literal.in_time(zone).map(End::At),
        };
        match self {
            Self::Range(lower, upper) => match (end(lower), end(upper)) {
                (Some(lower), Some(upper)) => Self::Range(lower, upper),
                _ => Self::Unknown,
            },
            Self::List(values) => {
                values.iter().map(|value| value.in_time(zone)).collect::<Option<_>>().map_or(Self::Unknown, Self::List)
            }
            // The hash of a number is another one.
            Self::Hash(..) => Self::Unknown,
            other => other,
        }
    }

    /// Whether the partition takes a value of the key; `None` when rules cannot tell (and for a default
    /// partition, which depends on the others).
    fn takes(&self, value: &Literal, type_name: &str) -> Option<bool> {
        match self {
            Self::Default | Self::Unknown => None,
            Self::Hash(modulus, remainder) => belongs(value, type_name, *modulus, *remainder),
            Self::List(values) => {
                let mut all_known = true;
                for listed in values {
                    match (listed, value) {
                        (Literal::Null, Literal::Null) => return Some(true),
                        (Literal::Null, _) | (_, Literal::Null) => {}
                        _ => match listed.equals(value, type_name) {
                            Some(true) => return Some(true),
                            Some(false) => {}
                            None => all_known = false,
                        },
                    }
                }
                all_known.then_some(false)
            }
            Self::Range(..) if *value == Literal::Null => Some(false),
            Self::Range(lower, upper) => {
                let above = match lower {
                    End::Open => true,
                    End::At(lower) => value.compare(lower, type_name)? != Ordering::Less,
                };
                let below = match upper {
                    End::Open => true,
                    End::At(upper) => value.compare(upper, type_name)? == Ordering::Less,
                };
                Some(above && below)
            }
        }
    }

    /// Whether the partition may hold one of the values.
    pub(super) fn may_hold(&self, allowed: &Allowed, type_name: &str) -> bool {
        match allowed {
            Allowed::Values(values) => values.iter().any(|value| self.takes(value, type_name) != Some(false)),
            Allowed::Between(lower, upper) => in_reach(self, lower.as_ref(), upper.as_ref(), type_name),
        }
    }
}

fn end(node: &Node) -> Option<End> {
    match &node.node {
        Some(NodeEnum::PartitionRangeDatum(datum)) => match PartitionRangeDatumKind::try_from(datum.kind) {
            Ok(PartitionRangeDatumKind::PartitionRangeDatumValue) => {
                Literal::of(datum.value.as_ref()?.node.as_ref()?).map(End::At)
            }
            _ => Some(End::Open),
        },
        // The raw grammar gives MINVALUE and MAXVALUE as column names.
        Some(NodeEnum::ColumnRef(column)) => {
            let name = column.fields.first().and_then(|field| match &field.node {
                Some(NodeEnum::String(name)) => Some(name.sval.as_str()),
                _ => None,
            });
            matches!(name, Some("minvalue" | "maxvalue")).then_some(End::Open)
        }
        Some(other) => Literal::of(other).map(End::At),
        None => None,
    }
}

/// What is known about a column: the values it may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Allowed {
    /// One of these.
    Values(Vec<Literal>),
    /// Between the ends; the flags say whether an end is included.
    Between(Option<(Literal, bool)>, Option<(Literal, bool)>),
}

impl Allowed {
    /// The same for points in time, as numbers; `None` when one cannot be read.
    fn in_time(self, zone: &Zone) -> Option<Self> {
        let end = |end: Option<(Literal, bool)>| match end {
            Some((literal, included)) => literal.in_time(zone).map(|literal| Some((literal, included))),
            None => Some(None),
        };
        Some(match self {
            Self::Values(values) => {
                Self::Values(values.iter().map(|value| value.in_time(zone)).collect::<Option<_>>()?)
            }
            Self::Between(lower, upper) => Self::Between(end(lower)?, end(upper)?),
        })
    }
}

/// Members of a partition tree that may hold rows of which `allowed` is true, the root first. `allowed` answers
/// for a column of the tree; no answer means any value.
pub(super) fn surviving<'a>(
    resolver: &Resolver<'a>,
    root: Rel<'a>,
    allowed: &dyn Fn(&str) -> Option<Allowed>,
) -> Vec<Rel<'a>> {
    if root.relation.kind != RelationKind::PartitionedTable {
        // By inheritance a table may come from several parents; nothing is ruled out.
        return resolver.tree(root);
    }
    let mut all = vec![root];
    for child in survivors_of(resolver, root, allowed) {
        all.extend(surviving(resolver, child, allowed));
    }
    all
}

fn survivors_of<'a>(
    resolver: &Resolver<'a>,
    parent: Rel<'a>,
    allowed: &dyn Fn(&str) -> Option<Allowed>,
) -> Vec<Rel<'a>> {
    let children = resolver.children(parent.name);
    let every = || children.to_vec();
    let Some(key) = &parent.relation.partition_key else { return every() };
    let [column] = key.columns.as_slice() else { return every() };
    // A key that is an expression says nothing about the column inside: `RANGE (k)`, not `RANGE (lower(k))`.
    let (_, parts) = key.definition.split_once('(').unwrap_or_default();
    let after = parts.strip_prefix(quote::ident(column).as_str());
    let is_plain = after.is_some_and(|rest| rest.starts_with([')', ' ']));
    let Some(column) = parent.relation.column(column).filter(|_| is_plain) else { return every() };
    let Some(allowed) = allowed(&column.name) else { return every() };
    let type_name = column.data_type.name.name.as_str();
    let bounds = children.iter().map(|child| (*child, bound_of(child.relation)));
    // Points in time are compared as numbers, read in the session's zone.
    let (type_name, allowed, bounds): (&str, Allowed, Vec<(Rel<'a>, Bound)>) = if type_name == "timestamptz" {
        let zone = Zone::named(&resolver.catalog.server.time_zone);
        let Some(allowed) = allowed.in_time(&zone) else { return every() };
        ("int8", allowed, bounds.map(|(child, bound)| (child, bound.in_time(&zone))).collect())
    } else {
        (type_name, allowed, bounds.collect())
    };
    let mut kept: Vec<Rel<'a>> = bounds
        .iter()
        .filter(|(_, bound)| *bound != Bound::Default && bound.may_hold(&allowed, type_name))
        .map(|(child, _)| *child)
        .collect();
    let default = bounds.iter().find(|(_, bound)| *bound == Bound::Default);
    if let Some((default, _)) = default
        && !covered(&bounds, &allowed, type_name)
    {
        kept.push(*default);
    }
    kept
}

/// Whether a partition may hold a value between the ends.
fn in_reach(bound: &Bound, lower: Option<&(Literal, bool)>, upper: Option<&(Literal, bool)>, type_name: &str) -> bool {
    let within = |value: &Literal| {
        let above = lower.is_none_or(|(end, included)| match value.compare(end, type_name) {
            Some(order) => order == Ordering::Greater || (*included && order == Ordering::Equal),
            None => true,
        });
        let below = upper.is_none_or(|(end, included)| match value.compare(end, type_name) {
            Some(order) => order == Ordering::Less || (*included && order == Ordering::Equal),
            None => true,
        });
        above && below
    };
    match bound {
        Bound::List(values) => values.iter().any(|value| *value != Literal::Null && within(value)),
        Bound::Range(from, to) => {
            let starts_before_upper = match (from, upper) {
                (End::At(from), Some((end, included))) => match from.compare(end, type_name) {
                    Some(order) => order == Ordering::Less || (*included && order == Ordering::Equal),
                    None => true,
                },
                _ => true,
            };
            let ends_after_lower = match (to, lower) {
                (End::At(to), Some((end, _))) => to.compare(end, type_name).is_none_or(|o| o == Ordering::Greater),
                _ => true,
            };
            starts_before_upper && ends_after_lower
        }
        Bound::Default | Bound::Hash(..) | Bound::Unknown => true,
    }
}

/// Whether the other partitions take every allowed value, so that the default partition holds none.
fn covered(bounds: &[(Rel<'_>, Bound)], allowed: &Allowed, type_name: &str) -> bool {
    match allowed {
        Allowed::Values(values) => {
            values.iter().all(|value| bounds.iter().any(|(_, bound)| bound.takes(value, type_name) == Some(true)))
        }
        Allowed::Between(Some(lower), Some(upper)) => covered_range(bounds, lower, upper, type_name),
        Allowed::Between(..) => false,
    }
}

/// Walks from the lower end to the upper one through partitions that touch each other.
fn covered_range(
    bounds: &[(Rel<'_>, Bound)],
    lower: &(Literal, bool),
    upper: &(Literal, bool),
    type_name: &str,
) -> bool {
    let mut reached = lower.0.clone();
    for _ in 0..=bounds.len() {
        let next = bounds.iter().find_map(|(_, bound)| match bound {
            Bound::Range(_, to) if bound.takes(&reached, type_name) == Some(true) => Some(to),
            _ => None,
        });
        match next {
            None => return false,
            Some(End::Open) => return true,
            Some(End::At(to)) => {
                let order = upper.0.compare(to, type_name);
                if order == Some(Ordering::Less) || (order == Some(Ordering::Equal) && !upper.1) {
                    return true;
                }
                reached = to.clone();
            }
        }
    }
    false
}

/// The leaf a row goes to, with the partitioned tables on the way; every one that is possible when the key's
/// value is not known. `value` answers for a column: its constant, or nothing when it is not known.
pub(super) fn routed<'a>(
    resolver: &Resolver<'a>,
    root: Rel<'a>,
    value: &dyn Fn(&str) -> Option<Literal>,
) -> Vec<Rel<'a>> {
    if root.relation.kind != RelationKind::PartitionedTable {
        return vec![root];
    }
    surviving(resolver, root, &|column| value(column).map(|value| Allowed::Values(vec![value])))
}
