//! From expressions of the parse tree to conditions.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExprType, BoolTestType, BooleanTest, ColumnRef, Node, NullTestType, ResTarget, SelectStmt,
    a_const,
};

use super::value::{Kind, Zone};
use super::{Comparison, Condition, Value};
use crate::catalog::{Catalog, DataType, Relation, types};
use crate::plan::analyze::names::strings;

/// The server's function behind the bounds of hash partitions.
const HASH_BOUND: &str = "satisfies_hash_partition";

/// The bound of a hash partition: oid of the table, modulus and remainder, then the key.
pub fn hash_bound(constants: &[String], key: &[String]) -> Condition {
    Condition::Other(format!("{HASH_BOUND}({}; {})", constants.join(", "), key.join(", ")))
}

/// Reads conditions over the columns of one relation.
#[derive(Debug)]
pub struct Reader<'r> {
    relation: &'r Relation,
    catalog: &'r Catalog,
    zone: Zone,
}

impl<'r> Reader<'r> {
    /// For definitions as the catalog holds them: printed in UTC.
    pub fn stored(relation: &'r Relation, catalog: &'r Catalog) -> Self {
        Self { relation, catalog, zone: Zone::Utc }
    }

    /// For text of the author: times without a zone are in the session's.
    pub fn written(relation: &'r Relation, catalog: &'r Catalog) -> Self {
        Self { relation, catalog, zone: Zone::named(&catalog.server.time_zone) }
    }

    /// The condition that a boolean expression states.
    pub fn condition(&self, expression: &Node) -> Condition {
        self.read(expression).unwrap_or_else(|| Condition::Other(text(expression)))
    }

    fn read(&self, expression: &Node) -> Option<Condition> {
        match expression.node.as_ref()? {
            NodeEnum::BoolExpr(boolean) => {
                let parts = boolean.args.iter().map(|argument| self.condition(argument));
                match boolean.boolop() {
                    BoolExprType::AndExpr => Some(Condition::all(parts)),
                    BoolExprType::OrExpr => Some(Condition::any(parts)),
                    BoolExprType::NotExpr => Some(self.condition(boolean.args.first()?).negated()),
                    BoolExprType::Undefined => None,
                }
            }
            // A row is (not) null when each of its parts is.
            NodeEnum::NullTest(test) if row(test.arg.as_deref()?).is_some() => {
                let parts = row(test.arg.as_deref()?)?.iter().map(|part| {
                    let subject = self.subject(part);
                    match test.nulltesttype() {
                        NullTestType::IsNull => Condition::Null(subject),
                        _ => Condition::NotNull(subject),
                    }
                });
                Some(Condition::all(parts))
            }
            NodeEnum::NullTest(test) => {
                let subject = self.subject(test.arg.as_deref()?);
                match test.nulltesttype() {
                    NullTestType::IsNull => Some(Condition::Null(subject)),
                    NullTestType::IsNotNull => Some(Condition::NotNull(subject)),
                    NullTestType::Undefined => None,
                }
            }
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                a_const::Val::Boolval(value) if value.boolval => Some(Condition::And(Vec::new())),
                a_const::Val::Boolval(_) => Some(Condition::Or(Vec::new())),
                _ => None,
            },
            NodeEnum::BooleanTest(test) => self.boolean_test(test),
            NodeEnum::AExpr(operator) => self.operator(operator),
            NodeEnum::FuncCall(call) if strings(&call.funcname).last() == Some(&HASH_BOUND) => {
                let (constants, columns) = call.args.split_at_checked(3)?;
                let constants = constants.iter().map(literal).collect::<Option<Vec<_>>>()?;
                let columns: Vec<String> = columns.iter().map(|column| self.subject(column)).collect();
                Some(hash_bound(&constants, &columns))
            }
            _ => None,
        }
    }

    /// `IS TRUE` and its kin over a column are atoms of their own.
    fn boolean_test(&self, test: &BooleanTest) -> Option<Condition> {
        let subject = self.subject(test.arg.as_deref()?);
        let suffix = match test.booltesttype() {
            BoolTestType::IsUnknown => return Some(Condition::Null(subject)),
            BoolTestType::IsNotUnknown => return Some(Condition::NotNull(subject)),
            other => other.as_str_name(),
        };
        Some(Condition::Other(format!("{subject} {suffix}")))
    }

    fn operator(&self, operator: &AExpr) -> Option<Condition> {
        let [name] = operator.name.as_slice() else { return None };
        let Some(NodeEnum::String(symbol)) = name.node.as_ref() else { return None };
        let left = operator.lexpr.as_deref()?;
        let right = operator.rexpr.as_deref()?;
        match operator.kind() {
            AExprKind::AexprOp => {
                let comparison = Comparison::of(&symbol.sval)?;
                if let Some(same) = self.boolean_equality(left, comparison, right) {
                    return Some(same);
                }
                match (self.value(right, left), self.value(left, right)) {
                    (Some(value), None) => Some(Condition::Compare(self.subject(left), comparison, value)),
                    (None, Some(value)) => Some(Condition::Compare(self.subject(right), comparison.commuted(), value)),
                    _ => None,
                }
            }
            AExprKind::AexprIn => {
                let NodeEnum::List(list) = right.node.as_ref()? else { return None };
                self.each(left, &list.items, Comparison::of(&symbol.sval)?, symbol.sval == "=")
            }
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
                let elements = array_elements(right)?;
                let any = operator.kind() == AExprKind::AexprOpAny;
                self.each(left, elements, Comparison::of(&symbol.sval)?, any)
            }
            AExprKind::AexprBetween => {
                let NodeEnum::List(list) = right.node.as_ref()? else { return None };
                let [low, high] = list.items.as_slice() else { return None };
                let subject = self.subject(left);
                Some(Condition::all([
                    Condition::Compare(subject.clone(), Comparison::GreaterOrEqual, self.value(low, left)?),
                    Condition::Compare(subject, Comparison::LessOrEqual, self.value(high, left)?),
                ]))
            }
            _ => None,
        }
    }

    /// A condition compared with true or false is the condition or its negation (`simplify_boolean_equality` in
    /// clauses.c).
    fn boolean_equality(&self, left: &Node, comparison: Comparison, right: &Node) -> Option<Condition> {
        let is_condition = |node: &Node| {
            matches!(
                node.node.as_ref(),
                Some(NodeEnum::NullTest(_) | NodeEnum::BoolExpr(_) | NodeEnum::BooleanTest(_) | NodeEnum::AExpr(_))
            )
        };
        let constant = |node: &Node| match node.node.as_ref()? {
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                a_const::Val::Boolval(value) => Some(value.boolval),
                _ => None,
            },
            _ => None,
        };
        let (inner, value) = match (constant(left), constant(right)) {
            (None, Some(value)) if is_condition(left) => (left, value),
            (Some(value), None) if is_condition(right) => (right, value),
            _ => return None,
        };
        let inner = self.condition(inner);
        match comparison {
            Comparison::Equal => Some(if value { inner } else { inner.negated() }),
            Comparison::NotEqual => Some(if value { inner.negated() } else { inner }),
            _ => None,
        }
    }

    fn each(&self, left: &Node, values: &[Node], comparison: Comparison, any: bool) -> Option<Condition> {
        let subject = self.subject(left);
        let parts = values
            .iter()
            .map(|value| Some(Condition::Compare(subject.clone(), comparison, self.value(value, left)?)))
            .collect::<Option<Vec<_>>>()?;
        Some(if any { Condition::any(parts) } else { Condition::all(parts) })
    }

    /// The constant, read as the type of the expression that it stands beside.
    fn value(&self, constant: &Node, beside: &Node) -> Option<Value> {
        let literal = literal(constant)?;
        Value::read(&literal, self.kind(beside), &self.zone)
    }

    /// The constant, read as a value of the type.
    pub fn constant(&self, constant: &Node, of: &DataType) -> Option<Value> {
        let literal = literal(constant)?;
        let base = types::base_type(of, self.catalog);
        Value::read(&literal, Kind::of(&base), &self.zone)
    }

    fn kind(&self, expression: &Node) -> Kind {
        let data_type = match expression.node.as_ref() {
            Some(NodeEnum::ColumnRef(column)) => column_name(column)
                .and_then(|name| self.relation.column(name))
                .map(|column| DataType::clone(&column.data_type)),
            Some(NodeEnum::TypeCast(cast)) => {
                cast.type_name.as_ref().and_then(|name| types::resolve_type(name, self.catalog))
            }
            _ => None,
        };
        data_type.map_or(Kind::Unknown, |of| Kind::of(&types::base_type(&of, self.catalog)))
    }

    /// The text that stands for an expression over the columns. A column read as `text` although it is
    /// `varchar` is still the column: the cast does nothing.
    pub fn subject(&self, expression: &Node) -> String {
        match expression.node.as_ref() {
            Some(NodeEnum::ColumnRef(column)) => match column_name(column) {
                Some(name) => name.to_owned(),
                None => text(expression),
            },
            Some(NodeEnum::TypeCast(cast)) => {
                let to = cast.type_name.as_ref().and_then(|name| types::resolve_type(name, self.catalog));
                match (to, cast.arg.as_deref()) {
                    (Some(to), Some(inner))
                        if to.name.name == "text" && !to.array && self.kind(inner) == Kind::Text =>
                    {
                        self.subject(inner)
                    }
                    _ => text(expression),
                }
            }
            _ => text(expression),
        }
    }
}

/// The parts of `ROW(...)`.
fn row(node: &Node) -> Option<&[Node]> {
    match node.node.as_ref()? {
        NodeEnum::RowExpr(row) => Some(&row.args),
        _ => None,
    }
}

/// The column of a reference, with or without the table in front.
fn column_name(column: &ColumnRef) -> Option<&str> {
    match column.fields.last()?.node.as_ref()? {
        NodeEnum::String(name) => Some(&name.sval),
        _ => None,
    }
}

/// The text of a constant; casts around it only say its type.
fn literal(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::TypeCast(cast) => literal(cast.arg.as_deref()?),
        NodeEnum::AConst(constant) => Some(match constant.val.as_ref()? {
            a_const::Val::Ival(value) => value.ival.to_string(),
            a_const::Val::Fval(value) => value.fval.clone(),
            a_const::Val::Boolval(value) => value.boolval.to_string(),
            a_const::Val::Sval(value) => value.sval.clone(),
            a_const::Val::Bsval(_) => return None,
        }),
        NodeEnum::AExpr(operator) => {
            let negative = operator.lexpr.is_none()
                && matches!(operator.name.as_slice(), [name] if matches!(&name.node, Some(NodeEnum::String(s)) if s.sval == "-"));
            let inner = literal(operator.rexpr.as_deref()?)?;
            negative.then(|| format!("-{inner}"))
        }
        _ => None,
    }
}

/// Elements of `ARRAY[...]`; casts around it only say its type.
fn array_elements(node: &Node) -> Option<&[Node]> {
    match node.node.as_ref()? {
        NodeEnum::TypeCast(cast) => array_elements(cast.arg.as_deref()?),
        NodeEnum::AArrayExpr(array) => Some(&array.elements),
        _ => None,
    }
}

/// The expression as text, the same for the same parse tree.
fn text(expression: &Node) -> String {
    let target = ResTarget { val: Some(Box::new(expression.clone())), ..ResTarget::default() };
    let select = SelectStmt {
        target_list: vec![Node { node: Some(NodeEnum::ResTarget(Box::new(target))) }],
        limit_option: pg_query::protobuf::LimitOption::Default.into(),
        op: pg_query::protobuf::SetOperation::SetopNone.into(),
        ..SelectStmt::default()
    };
    NodeEnum::SelectStmt(Box::new(select))
        .deparse(pg_query::DeparseOptions::default())
        .unwrap_or_else(|_| format!("{expression:?}"))
}
