//! What the server refuses about the bound of a new partition (`check_new_partition_bound` in partbounds.c).

use pg_query::protobuf::PartitionBoundSpec;

use super::bound::{self, Bound, Key};
use crate::plan::analyze::implication::Reader;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::{Impact, Resolver};

/// Refuses a bound that another partition of the table rules out.
pub(in crate::plan::analyze) fn refuse_bound(
    impact: &mut Impact,
    resolver: &Resolver<'_>,
    table: Rel<'_>,
    partition: &str,
    spec: &PartitionBoundSpec,
) {
    let Some(key) = Key::of(table.relation, resolver.catalog) else { return };
    if let Some(bound) = read(impact, resolver, table, partition, spec, &key) {
        refuse_clashes(impact, resolver, table, partition, &bound, &key);
    }
}

/// The bound in the author's text, whose times are in the session's zone.
pub(super) fn read(
    impact: &mut Impact,
    resolver: &Resolver<'_>,
    table: Rel<'_>,
    partition: &str,
    spec: &PartitionBoundSpec,
    key: &Key,
) -> Option<Bound> {
    let reader = Reader::written(table.relation, resolver.catalog);
    let bound = Bound::read(spec, key, &reader);
    if bound.is_none() {
        let kind = match key.strategy {
            'l' => "list",
            'r' => "range",
            _ => "hash",
        };
        let message = format!("invalid bound specification for a {kind} partition");
        impact.refuse("42P16", message, "Give a bound of the kind that the table is partitioned by.");
    }
    if spec.is_default && key.strategy == 'h' {
        let message = "a hash-partitioned table may not have a default partition";
        impact.refuse("42P16", message, "Give modulus and remainder.");
    }
    match bound {
        Some(Bound::Hash { modulus, remainder }) if modulus > 0 && remainder >= modulus => {
            let message = "remainder for hash partition must be less than modulus";
            impact.refuse("42P16", message, "Remainders count from 0 to one less than the modulus.");
        }
        Some(ref range) if range.is_empty_range() => {
            let message = format!("empty range bound specified for partition \"{partition}\"");
            impact.refuse("42P17", message, "The lower bound must be below the upper bound.");
        }
        _ => {}
    }
    bound
}

/// Existing partitions with their bounds.
pub(super) fn siblings<'a>(resolver: &Resolver<'a>, table: Rel<'a>, key: &Key) -> Vec<(Rel<'a>, Bound)> {
    let reader = Reader::stored(table.relation, resolver.catalog);
    let children = resolver.children(table.name).into_iter();
    children
        .filter_map(|child| {
            let spec = bound::parse(child.relation.partition_bound.as_ref()?)?;
            Some((child, Bound::read(&spec, key, &reader)?))
        })
        .collect()
}

pub(super) fn refuse_clashes<'a>(
    impact: &mut Impact,
    resolver: &Resolver<'a>,
    table: Rel<'a>,
    name: &str,
    new: &Bound,
    key: &Key,
) {
    for (sibling, existing) in siblings(resolver, table, key) {
        if matches!((new, &existing), (Bound::Default, Bound::Default)) {
            let message =
                format!("partition \"{name}\" conflicts with existing default partition \"{}\"", sibling.name.name);
            impact.refuse("42P17", message, "A table has one default partition.");
        }
        if let (Bound::Hash { modulus: a, .. }, Bound::Hash { modulus: b, .. }) = (new, &existing) {
            let (small, large) = ((*a).min(*b), (*a).max(*b));
            if small > 0 && large % small != 0 {
                let message = "every hash partition modulus must be a factor of the next larger modulus";
                impact.refuse("42P17", message, "Choose a modulus that fits those of the other partitions.");
            }
        }
        if new.overlaps(&existing) == Some(true) {
            let message = format!("partition \"{name}\" would overlap partition \"{}\"", sibling.name.name);
            impact.refuse("42P17", message, "Choose a bound that no partition covers.");
        }
    }
}
