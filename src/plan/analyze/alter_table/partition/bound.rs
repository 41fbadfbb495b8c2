//! Bounds of partitions: the condition that a partition's rows meet (`get_qual_from_partbound` in partbounds.c),
//! and whether two bounds overlap.

use std::cmp::Ordering;

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, PartitionBoundSpec, PartitionSpec, a_const};

use crate::catalog::{Catalog, DataType, Relation};
use crate::plan::analyze::expression::type_of;
use crate::plan::analyze::implication::{Comparison, Condition, Reader, Value, hash_bound};
use crate::plan::analyze::names::strings;

/// One column or expression of a partition key.
#[derive(Clone, Debug)]
struct KeyPart {
    /// As conditions name it.
    subject: String,
    data_type: Option<DataType>,
}

/// The partition key of a table.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// `l`, `r` or `h`.
    pub strategy: char,
    parts: Vec<KeyPart>,
    /// Oid of the table, 0 when it is not known.
    oid: u32,
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum {
    Least,
    Value(Option<Value>),
    Most,
}

/// A bound, read.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Default,
    List { values: Vec<Option<Value>>, null: bool },
    Range { from: Vec<Datum>, to: Vec<Datum> },
    Hash { modulus: i32, remainder: i32 },
}

impl Key {
    /// Reads `pg_get_partkeydef`.
    pub fn of(table: &Relation, catalog: &Catalog) -> Option<Self> {
        let key = table.partition_key.as_ref()?;
        let text = format!("CREATE TABLE t (c int) PARTITION BY {}", key.definition);
        let statement = crate::sql::parse::tree(&text).ok()?.stmts.into_iter().next()?.stmt?.node?;
        let NodeEnum::CreateStmt(create) = statement else { return None };
        let spec: PartitionSpec = create.partspec?;
        let reader = Reader::stored(table, catalog);
        let parts = spec.part_params.iter().map(|part| match part.node.as_ref()? {
            NodeEnum::PartitionElem(part) if !part.name.is_empty() => Some(KeyPart {
                subject: part.name.clone(),
                data_type: table.column(&part.name).map(|column| DataType::clone(&column.data_type)),
            }),
            NodeEnum::PartitionElem(part) => {
                let expression = part.expr.as_deref()?;
                let data_type = type_of(expression, Some(table), catalog);
                Some(KeyPart { subject: reader.subject(expression), data_type })
            }
            _ => None,
        });
        Some(Self { strategy: key.strategy, parts: parts.collect::<Option<Vec<_>>>()?, oid: table.stats.oid })
    }
}

/// Parses a bound as `pg_get_expr(relpartbound)` prints it.
pub(super) fn parse(text: &str) -> Option<PartitionBoundSpec> {
    let text = format!("ALTER TABLE t ATTACH PARTITION p {text}");
    let statement = crate::sql::parse::tree(&text).ok()?.stmts.into_iter().next()?.stmt?.node?;
    let NodeEnum::AlterTableStmt(alter) = statement else { return None };
    let NodeEnum::AlterTableCmd(command) = alter.cmds.into_iter().next()?.node? else { return None };
    let NodeEnum::PartitionCmd(partition) = command.def?.node? else { return None };
    partition.bound
}

impl Bound {
    /// Reads a bound of a table with that key; `None` when it is of another kind.
    pub fn read(spec: &PartitionBoundSpec, key: &Key, reader: &Reader<'_>) -> Option<Self> {
        if spec.is_default {
            return Some(Self::Default);
        }
        if !spec.strategy.starts_with(key.strategy) {
            return None;
        }
        match key.strategy {
            'h' => Some(Self::Hash { modulus: spec.modulus, remainder: spec.remainder }),
            'l' => {
                let part = key.parts.first()?;
                let values = spec.listdatums.iter().filter(|value| !is_null(value));
                let values = values.map(|value| read_value(value, part, reader)).collect();
                Some(Self::List { values, null: spec.listdatums.iter().any(is_null) })
            }
            _ => {
                let side = |datums: &[Node]| {
                    (datums.len() == key.parts.len()).then(|| {
                        let pairs = datums.iter().zip(&key.parts);
                        pairs.map(|(datum, part)| read_datum(datum, part, reader)).collect()
                    })
                };
                Some(Self::Range { from: side(&spec.lowerdatums)?, to: side(&spec.upperdatums)? })
            }
        }
    }

    /// What every row within the bound meets; `None` when it cannot be said (values that are not understood).
    pub fn condition(&self, key: &Key) -> Option<Condition> {
        match self {
            Self::Default => None,
            Self::Hash { .. } if key.oid == 0 => None,
            // The server's own function over the table's oid, as a check has it.
            Self::Hash { modulus, remainder } => {
                let key_columns: Vec<String> = key.parts.iter().map(|part| part.subject.clone()).collect();
                let constants = [key.oid.to_string(), modulus.to_string(), remainder.to_string()];
                Some(hash_bound(&constants, &key_columns))
            }
            Self::List { values, null } => {
                let subject = &key.parts.first()?.subject;
                let equal = values
                    .iter()
                    .map(|value| Some(Condition::Compare(subject.clone(), Comparison::Equal, value.clone()?)))
                    .collect::<Option<Vec<_>>>()?;
                let none = equal.is_empty();
                let any = Condition::any(equal);
                Some(match (null, none) {
                    (true, true) => Condition::Null(subject.clone()),
                    (true, false) => Condition::any([Condition::Null(subject.clone()), any]),
                    (false, _) => Condition::all([Condition::NotNull(subject.clone()), any]),
                })
            }
            Self::Range { from, to } => {
                let present = key.parts.iter().map(|part| Condition::NotNull(part.subject.clone()));
                let same = from.iter().zip(to).take_while(|(from, to)| match (from, to) {
                    (Datum::Value(Some(a)), Datum::Value(Some(b))) => a.compare(b) == Some(Ordering::Equal),
                    _ => false,
                });
                let same = same.count().min(key.parts.len().saturating_sub(1));
                let mut all: Vec<Condition> = present.collect();
                for (part, datum) in key.parts.iter().zip(from).take(same) {
                    all.push(compare(part, Comparison::Equal, datum)?);
                }
                all.extend(side(key, from, same, true)?);
                all.extend(side(key, to, same, false)?);
                Some(Condition::all(all))
            }
        }
    }

    /// Whether a row could belong to both.
    pub fn overlaps(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::List { values: a, null: a_null }, Self::List { values: b, null: b_null }) => {
                let shared =
                    a.iter().flatten().any(|a| b.iter().flatten().any(|b| a.compare(b) == Some(Ordering::Equal)));
                Some(shared || (*a_null && *b_null))
            }
            (Self::Range { from: a, to: b }, Self::Range { from: c, to: d }) => {
                Some(order(a, d)? == Ordering::Less && order(c, b)? == Ordering::Less)
            }
            (Self::Hash { modulus: a, remainder: b }, Self::Hash { modulus: c, remainder: d }) => {
                let smaller = (*a).min(*c);
                (smaller > 0).then(|| b % smaller == d % smaller)
            }
            _ => Some(false),
        }
    }

    /// Whether the range holds nothing.
    pub fn is_empty_range(&self) -> bool {
        match self {
            Self::Range { from, to } => order(from, to).is_some_and(Ordering::is_ge),
            _ => false,
        }
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.node.as_ref(), Some(NodeEnum::AConst(constant)) if constant.isnull)
}

fn read_value(node: &Node, part: &KeyPart, reader: &Reader<'_>) -> Option<Value> {
    reader.constant(node, part.data_type.as_ref()?)
}

/// `MINVALUE` and `MAXVALUE` look like columns to the parser.
fn read_datum(node: &Node, part: &KeyPart, reader: &Reader<'_>) -> Datum {
    if let Some(NodeEnum::ColumnRef(column)) = node.node.as_ref() {
        match strings(&column.fields).as_slice() {
            ["minvalue"] => return Datum::Least,
            ["maxvalue"] => return Datum::Most,
            _ => {}
        }
    }
    let is_constant = matches!(node.node.as_ref(), Some(NodeEnum::AConst(constant)) if !matches!(constant.val, Some(a_const::Val::Bsval(_)) | None))
        || matches!(node.node.as_ref(), Some(NodeEnum::TypeCast(_) | NodeEnum::AExpr(_)));
    Datum::Value(is_constant.then(|| read_value(node, part, reader)).flatten())
}

fn compare(part: &KeyPart, comparison: Comparison, datum: &Datum) -> Option<Condition> {
    match datum {
        Datum::Value(Some(value)) => Some(Condition::Compare(part.subject.clone(), comparison, value.clone())),
        _ => None,
    }
}

/// One end of a range as a condition: `(a > 1) OR (a = 1 AND b >= 2)`. No condition for an end that is open.
fn side(key: &Key, datums: &[Datum], start: usize, lower: bool) -> Option<Option<Condition>> {
    let (open, beyond) = if lower { (Datum::Least, Datum::Most) } else { (Datum::Most, Datum::Least) };
    let (strict, loose) = if lower {
        (Comparison::Greater, Comparison::GreaterOrEqual)
    } else {
        (Comparison::Less, Comparison::LessOrEqual)
    };
    let mut arms = Vec::new();
    for last in start..datums.len() {
        let (datum, part) = (datums.get(last)?, key.parts.get(last)?);
        if *datum == open || *datum == beyond {
            break;
        }
        let next = datums.get(last + 1);
        // The lower end belongs to the range, the upper does not, unless the rest of it is open.
        let whole = if lower { next.is_none() || next == Some(&open) } else { next == Some(&open) };
        let mut arm = Vec::new();
        for (part, datum) in key.parts.iter().zip(datums).take(last).skip(start) {
            arm.push(compare(part, Comparison::Equal, datum)?);
        }
        arm.push(compare(part, if whole { loose } else { strict }, datum)?);
        arms.push(Condition::all(arm));
        if next == Some(&open) || next == Some(&beyond) {
            break;
        }
    }
    Some((!arms.is_empty()).then(|| Condition::any(arms)))
}

/// The order of two ends, column by column.
fn order(a: &[Datum], b: &[Datum]) -> Option<Ordering> {
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Datum::Least, Datum::Least) | (Datum::Most, Datum::Most) => return Some(Ordering::Equal),
            (Datum::Least, _) | (_, Datum::Most) => Ordering::Less,
            (_, Datum::Least) | (Datum::Most, _) => Ordering::Greater,
            (Datum::Value(a), Datum::Value(b)) => a.as_ref()?.compare(b.as_ref()?)?,
        };
        if order != Ordering::Equal {
            return Some(order);
        }
    }
    Some(Ordering::Equal)
}
