//! Expressions and queries of statements: what they mention, of which type they are, and how the server will
//! print them. The simulated catalog gets its definitions from here.

mod call;
mod coerce;
pub(crate) mod column_name;
mod constructs;
mod from;
mod ir;

mod literal;
mod mention;
mod operator;
mod print;
mod query;
mod query_text;
mod resolve;
mod scope;
mod statement;
mod type_name;
mod types;
mod volatility;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::{self, BoolExprType, Node, node};

pub(crate) use self::query::{Output, Shape, outputs};
pub(crate) use self::query_text::{
    Renaming, in_expression, in_function, in_query, in_statement, in_types, name_results, qualified, qualified_rule,
};
pub(crate) use self::resolve::{parse_type, signature};
pub(crate) use self::scope::{Item, Scope, Visible};
pub(crate) use self::statement::statement_uses;
pub(crate) use self::type_name::{data_type, resolve as resolve_type, spelled, strings};
pub(crate) use self::types::{Type, pathway};

use self::ir::{Expr, Kind};
use self::mention::Mention;
use super::{Catalog, ColumnReference, Name};

/// What an expression or a query depends on, user-defined objects only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    /// Relations and their columns.
    pub(crate) columns: BTreeSet<ColumnReference>,
    /// The same columns in the order of their first mention.
    mentioned: Vec<ColumnReference>,
    pub(crate) functions: BTreeSet<Name>,
    pub(crate) types: BTreeSet<Name>,
}

impl Uses {
    /// References as the catalog has them: a relation as a whole only where none of its columns is mentioned.
    pub(crate) fn references(&self) -> Vec<ColumnReference> {
        let with_columns: BTreeSet<&Name> =
            self.columns.iter().filter(|found| found.column.is_some()).map(|found| &found.relation).collect();
        let kept = |found: &&ColumnReference| found.column.is_some() || !with_columns.contains(&found.relation);
        self.columns.iter().filter(kept).cloned().collect()
    }

    /// The columns mentioned of one relation, in the order of their first mention.
    pub(crate) fn columns_of(&self, relation: &Name) -> Vec<String> {
        let own = self.mentioned.iter().filter(|found| found.relation == *relation);
        own.filter_map(|found| found.column.clone()).collect()
    }

    pub(crate) fn functions(&self) -> Vec<Name> {
        self.functions.iter().cloned().collect()
    }

    pub(crate) fn types(&self) -> Vec<Name> {
        self.types.iter().cloned().collect()
    }
}

/// A name that is not in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

/// One analysis: the catalog it reads and what it has met so far.
pub(crate) struct Analysis<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) uses: RefCell<Uses>,
    /// What stands where in the text, by byte offset.
    mentions: RefCell<BTreeMap<i32, Mention>>,
    /// Collations of columns and `COLLATE` clauses that are not the types' defaults.
    collations: RefCell<BTreeSet<String>>,
    /// Offsets of result columns that take their name from the column they are.
    bare_targets: RefCell<BTreeSet<i32>>,
    /// See [`Cooked::mutable`].
    mutable: Cell<bool>,
    /// See [`Cooked::impossible_cast`].
    impossible_cast: RefCell<Option<(Type, Type)>>,
}

impl<'a> Analysis<'a> {
    pub(crate) fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            uses: RefCell::default(),
            mentions: RefCell::default(),
            collations: RefCell::default(),
            bare_targets: RefCell::default(),
            mutable: Cell::default(),
            impossible_cast: RefCell::default(),
        }
    }

    /// Notes a part whose value depends on more than what it is given.
    fn note_mutable(&self, mutable: bool) {
        self.mutable.set(self.mutable.get() || mutable);
    }

    fn use_function(&self, name: &Name) {
        self.uses.borrow_mut().functions.insert(name.clone());
    }

    fn use_type(&self, found: &Type) {
        if let Some(name) = found.user_defined() {
            self.uses.borrow_mut().types.insert(name);
        }
    }

    fn use_relation(&self, relation: &Name, column: Option<&str>) {
        let reference = ColumnReference { relation: relation.clone(), column: column.map(str::to_owned) };
        self.uses.borrow_mut().columns.insert(reference);
    }
}

/// An expression ready for the catalog.
#[derive(Clone, Debug)]
pub(crate) struct Cooked {
    /// As `pg_get_expr` prints it.
    pub(crate) text: String,
    /// Its type where known.
    pub(crate) data_type: Option<Type>,
    /// `looks_like_function`: needs no parentheses in an index definition.
    pub(crate) is_call: bool,
    /// Its collation, when it is another than its type's default.
    pub(crate) collation: Option<String>,
    /// Whether a built-in function, operator or cast in it certainly depends on more than what it is given, such as
    /// settings of the session. User-defined ones do not count.
    pub(crate) mutable: bool,
    /// The types of a cast in it that the server does not have.
    pub(crate) impossible_cast: Option<(Type, Type)>,
    /// What it depends on.
    pub(crate) uses: Uses,
}

fn cooked(analysis: Analysis<'_>, expr: &Expr) -> Cooked {
    let mut uses = analysis.uses.into_inner();
    let placed = analysis.mentions.into_inner().into_values().filter_map(|mention| match mention {
        Mention::Column { source, .. } => Some(source),
        _ => None,
    });
    for column in placed.chain(uses.columns.iter().cloned()) {
        if !uses.mentioned.contains(&column) {
            uses.mentioned.push(column);
        }
    }
    Cooked {
        text: print::expression(expr),
        data_type: expr.data_type.clone(),
        is_call: print::looks_like_function(expr),
        // Where several take part the server asks for a COLLATE, which is then the one that counts.
        collation: analysis.collations.take().into_iter().next(),
        mutable: analysis.mutable.get(),
        impossible_cast: analysis.impossible_cast.take(),
        uses,
    }
}

/// Analyses an expression as it stands.
pub(crate) fn cook(catalog: &Catalog, scope: &Scope<'_>, node: &Node) -> Result<Cooked, Missing> {
    let analysis = Analysis::new(catalog);
    let expr = expression(&analysis, scope, node)?;
    Ok(cooked(analysis, &expr))
}

/// Analyses a condition: its value is a boolean.
pub(crate) fn cook_condition(catalog: &Catalog, scope: &Scope<'_>, node: &Node) -> Result<Cooked, Missing> {
    let analysis = Analysis::new(catalog);
    let expr = condition(&analysis, scope, node)?;
    Ok(cooked(analysis, &expr))
}

/// Analyses an expression whose value is stored as `target`: a default, a generated column.
pub(crate) fn cook_assigned(
    catalog: &Catalog,
    scope: &Scope<'_>,
    node: &Node,
    target: &Type,
) -> Result<Cooked, Missing> {
    let analysis = Analysis::new(catalog);
    let expr = expression(&analysis, scope, node)?;
    let expr = coerce::assign(&analysis, expr, target);
    Ok(cooked(analysis, &expr))
}

/// A default of the old type as it is shown for the new one: with the cast that assignment adds.
pub(crate) fn cook_recast(catalog: &Catalog, node: &Node, old: &Type, new: &Type) -> Result<String, Missing> {
    let analysis = Analysis::new(catalog);
    let expr = expression(&analysis, &Scope::default(), node)?;
    let expr = coerce::assign(&analysis, expr, old);
    let expr = coerce::recast(&analysis, expr, new);
    Ok(print::expression(&expr))
}

/// A constant as partition bounds show it: without its type.
pub(crate) fn cook_bound(catalog: &Catalog, node: &Node, target: &Type) -> String {
    let analysis = Analysis::new(catalog);
    match expression(&analysis, &Scope::default(), node) {
        Ok(expr) => print::bare(&coerce::assign(&analysis, expr, &target.without_modifier())),
        Err(_) => scope::deparsed(node).unwrap_or_default(),
    }
}

/// Raw parse tree to analysed expression.
fn expression(cx: &Analysis<'_>, scope: &Scope<'_>, node: &Node) -> Result<Expr, Missing> {
    let Some(inner) = &node.node else { return Ok(Expr::new(Kind::Raw(String::new()), None)) };
    Ok(match inner {
        node::Node::ColumnRef(column) => scope::column(cx, scope, column)?,
        node::Node::AConst(constant) => Expr { location: Some(constant.location), ..literal::constant(constant) },
        node::Node::AExpr(operation) => operator::expression(cx, scope, operation)?,
        node::Node::BoolExpr(boolean) => boolean_expression(cx, scope, boolean)?,
        node::Node::FuncCall(call) => call::call(cx, scope, call)?,
        node::Node::TypeCast(cast) => coerce::explicit(cx, scope, cast)?,
        node::Node::SqlvalueFunction(function) => call::keyword(function),
        node::Node::CaseExpr(case) => constructs::case(cx, scope, case)?,
        node::Node::CoalesceExpr(coalesce) => constructs::special(cx, scope, "COALESCE", &coalesce.args)?,
        node::Node::MinMaxExpr(extreme) => {
            let least = extreme.op == protobuf::MinMaxOp::IsLeast as i32;
            constructs::special(cx, scope, if least { "LEAST" } else { "GREATEST" }, &extreme.args)?
        }
        node::Node::AArrayExpr(array) => constructs::array(cx, scope, &array.elements, None)?,
        node::Node::RowExpr(row) => constructs::row(cx, scope, row)?,
        node::Node::NullTest(test) => constructs::null_test(cx, scope, test)?,
        node::Node::BooleanTest(test) => constructs::boolean_test(cx, scope, test)?,
        node::Node::CollateClause(collate) => constructs::collate(cx, scope, collate)?,
        node::Node::AIndirection(indirection) => constructs::indirection(cx, scope, indirection)?,
        node::Node::SubLink(link) => query::sublink(cx, scope, link)?,
        node::Node::NamedArgExpr(named) => match &named.arg {
            Some(arg) => {
                let value = expression(cx, scope, arg)?;
                let text = format!("{} => {}", crate::sql::quote::ident(&named.name), print::argument(&value));
                Expr::new(Kind::Raw(text), value.data_type)
            }
            None => Expr::new(Kind::Raw(String::new()), None),
        },
        _ => scope::unanalysed(cx, scope, node),
    })
}

/// An optional part of a node; absent ones become nothing.
fn part(cx: &Analysis<'_>, scope: &Scope<'_>, node: Option<&Node>) -> Result<Expr, Missing> {
    match node {
        Some(node) => expression(cx, scope, node),
        None => Ok(Expr::new(Kind::Raw(String::new()), None)),
    }
}

fn list(cx: &Analysis<'_>, scope: &Scope<'_>, nodes: &[Node]) -> Result<Vec<Expr>, Missing> {
    nodes.iter().map(|node| expression(cx, scope, node)).collect()
}

/// An expression where a boolean is asked for.
fn condition(cx: &Analysis<'_>, scope: &Scope<'_>, node: &Node) -> Result<Expr, Missing> {
    let expr = expression(cx, scope, node)?;
    Ok(coerce::implicit(cx, expr, &Type::named("bool")))
}

fn boolean_expression(cx: &Analysis<'_>, scope: &Scope<'_>, boolean: &protobuf::BoolExpr) -> Result<Expr, Missing> {
    let mut args = boolean.args.iter().map(|arg| condition(cx, scope, arg)).collect::<Result<Vec<_>, _>>()?;
    let kind = if boolean.boolop == BoolExprType::NotExpr as i32 {
        Kind::Not(Box::new(args.pop().unwrap_or_else(|| Expr::new(Kind::Raw(String::new()), None))))
    } else {
        Kind::Bool { and: boolean.boolop == BoolExprType::AndExpr as i32, args }
    };
    Ok(Expr::typed(kind, "bool"))
}
