//! The conversion of a column's values, and the way back: as expressions over a row, with the column under any name.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, Node};

use crate::catalog::expression::strings;
use crate::catalog::expression::{Scope, cook};
use crate::catalog::types::{base_type, resolve_type};
use crate::catalog::{Catalog, Column, DataType, TypeKind};
use crate::plan::analyze::{CastContext, Conversion as Cast, Rel, convert, evaluate};
use crate::plan::expand::Context;
use crate::sql::expression::{mentioned_columns, parse_expression, with_columns};
use crate::sql::quote;

/// How values are converted.
pub(super) struct Conversion<'a> {
    catalog: &'a Catalog,
    column: &'a str,
    from: &'a DataType,
    to: DataType,
    /// The author's expression as the server prints it; absent where the value is merely cast.
    using: Option<String>,
    /// Whether the author wrote a cast: an assignment cuts nothing off, a cast does.
    explicit: bool,
    /// Whether the cast goes by way of text.
    by_text: bool,
    /// The expression turns values of either type into the other.
    both_ways: bool,
    /// Whether the time zone of the session decides.
    pub zoned: bool,
}

/// Writes a column of the row.
pub(super) type Write<'w> = &'w dyn Fn(&str) -> String;

impl<'a> Conversion<'a> {
    /// Reads the author's clause.
    ///
    /// # Errors
    /// Why the result for a row may differ from session to session or from time to time, with the way round.
    pub fn read(
        context: &Context<'a>,
        table: Rel<'a>,
        column: &'a Column,
        new: &Column,
        clause: &ColumnDef,
    ) -> Result<Self, String> {
        let catalog = context.look.catalog;
        let mut conversion = Self {
            catalog,
            column: &column.name,
            from: &column.data_type,
            to: DataType::clone(&new.data_type),
            using: None,
            explicit: false,
            by_text: false,
            both_ways: false,
            zoned: false,
        };
        if let Some(using) = clause.raw_default.as_deref() {
            let mut plain = false;
            if let Some(types) = casts_of(using, &column.name) {
                let types: Vec<DataType> = types.iter().filter_map(|name| resolve_type(name, catalog)).collect();
                let is_text = |of: &DataType| !of.array && of.modifier < 0 && builtin(of) == Some("text");
                let (target, rest) = match types.split_last() {
                    Some((last, rest)) if last.sql == conversion.to.sql => (true, rest),
                    _ => (false, types.as_slice()),
                };
                // Nothing but casts, the last one perhaps left to the assignment.
                plain = rest.iter().all(|of| is_text(of) || of.sql == column.data_type.sql)
                    && (target || rest.last().is_none_or(is_text));
                conversion.explicit = !types.is_empty();
                conversion.by_text = plain && rest.iter().any(is_text);
            }
            if !plain {
                conversion.expression(context, table, using)?;
                return Ok(conversion);
            }
        }
        match conversion.steadiness() {
            Steadiness::Always => Ok(conversion),
            Steadiness::InOneZone => {
                conversion.zoned = true;
                Ok(conversion)
            }
            Steadiness::Unknown => Err(format!(
                "what the cast from {} to {} gives depends on settings of the session, or that is not known: write an \
                 immutable expression behind USING",
                conversion.from.sql, conversion.to.sql
            )),
        }
    }

    fn expression(&mut self, context: &Context<'a>, table: Rel<'a>, using: &Node) -> Result<(), String> {
        let unreadable =
            || "the expression behind USING cannot be read: write it over the columns of the row".to_owned();
        let cooked = cook(self.catalog, &Scope::table(table.name, table.relation), using).map_err(|_| unreadable())?;
        let evaluation = evaluate(using, &context.look);
        // Which of several functions of one name is meant, a column tells only with its type.
        let typed = with_columns(&cooked.text, &|name| match table.relation.column(name) {
            Some(column) => format!("CAST({} AS {})", quote::ident(name), column.data_type.sql),
            None => quote::ident(name),
        });
        let steady = |node: &Node| {
            let evaluation = evaluate(node, &context.look);
            !evaluation.volatile && !evaluation.mutable
        };
        if !steady(using) && !typed.and_then(|text| parse_expression(&text)).is_some_and(|node| steady(&node)) {
            return Err("the expression behind USING is not immutable: write one that is".to_owned());
        }
        let private = evaluation.functions.iter().any(|function| !function.privileges.is_empty());
        if private {
            return Err(
                "the expression behind USING calls a function that not everybody may execute: grant it to PUBLIC"
                    .to_owned(),
            );
        }
        let columns = mentioned_columns(&cooked.text).ok_or_else(unreadable)?;
        let generated = |name: &String| table.relation.column(name).is_none_or(|own| own.generated.is_some());
        if columns.iter().any(generated) {
            return Err("the expression behind USING reads a generated column: write what that is made from".to_owned());
        }
        with_columns(&cooked.text, &|name| name.to_owned()).ok_or_else(unreadable)?;
        self.both_ways = at_constant_zone(using, self.column);
        self.using = Some(cooked.text);
        Ok(())
    }

    /// The new value of a row, to be assigned.
    pub fn value(&self, write: Write<'_>) -> String {
        match &self.using {
            Some(text) => with_columns(text, write).unwrap_or_default(),
            None if self.by_text => format!("CAST(CAST({} AS text) AS {})", write(self.column), self.to.sql),
            None if self.explicit => format!("CAST({} AS {})", write(self.column), self.to.sql),
            None => write(self.column),
        }
    }

    /// The new value of a row, of the new type.
    fn cast(&self, write: Write<'_>) -> String {
        match &self.using {
            None if self.explicit => self.value(write),
            _ => format!("CAST({} AS {})", self.value(write), self.to.sql),
        }
    }

    /// Whether a row's new value is another than `value`.
    pub fn differs(&self, value: &str, write: Write<'_>) -> String {
        if self.equal_is_same() {
            format!("{value} IS DISTINCT FROM {}", self.cast(write))
        } else {
            // Compares what is stored: not all types have equality, and equal values may look different.
            format!("ROW({value})::record OPERATOR(pg_catalog.*<>) ROW({})::record", self.cast(write))
        }
    }

    /// The former value from the new one, which `new` writes; `None` where there is no way back.
    pub fn back(&self, new: &str) -> Option<String> {
        if self.both_ways {
            let write = |name: &str| if name == self.column { new.to_owned() } else { quote::ident(name) };
            return with_columns(self.using.as_ref()?, &write);
        }
        if self.using.is_some() {
            return None;
        }
        let direct = convert(&self.to, self.from, CastContext::Explicit, self.catalog) != Cast::Impossible;
        Some(if direct && !self.by_text {
            format!("CAST({new} AS {})", self.from.sql)
        } else {
            format!("CAST(CAST({new} AS text) AS {})", self.from.sql)
        })
    }

    /// Whether every value of the new type has a former one.
    pub fn back_is_total(&self) -> bool {
        if self.using.is_some() {
            return self.both_ways;
        }
        let (from, to) = (self.base(self.from), self.base(&self.to));
        widens(&to, &from)
            || builtin(&from) == Some("text") && !from.array
            || is_time(&from) && is_time(&to) && from.modifier < 0
    }

    /// Whether different values stay different, so that the way back gives each row what it had.
    pub fn keeps_all(&self) -> bool {
        let (from, to) = (self.base(self.from), self.base(&self.to));
        let label = |of: &DataType| matches!(self.user_kind(of), Some(TypeKind::Enum { .. }));
        self.using.is_none()
            && (widens(&from, &to)
                || label(&to)
                || (label(&from) || integer(&from).is_some()) && builtin(&to) == Some("text") && !to.array)
    }

    /// Whether a value that is there may become null.
    pub fn may_lose(&self) -> bool {
        self.using.is_some()
    }

    /// Whether an explicit cast says what an assignment would: those that cut off do not.
    pub fn cast_is_assignment(&self) -> bool {
        if self.explicit {
            return true;
        }
        let to = self.base(&self.to);
        to.modifier < 0 || !matches!(builtin(&to), Some("varchar" | "bpchar" | "bit" | "varbit"))
    }

    fn base(&self, of: &DataType) -> DataType {
        base_type(of, self.catalog)
    }

    fn user_kind(&self, of: &DataType) -> Option<&TypeKind> {
        if of.array {
            return None;
        }
        self.catalog.types.get(&of.name).map(|found| &found.kind)
    }

    /// Whether two values of the new type that are equal are the same.
    fn equal_is_same(&self) -> bool {
        let label = matches!(self.user_kind(&self.to), Some(TypeKind::Enum { .. }));
        let known = ["int2", "int4", "int8", "bool", "date", "time", "timestamp", "timestamptz", "uuid", "oid"];
        label || !self.to.array && builtin(&self.to).is_some_and(|name| known.contains(&name))
    }

    fn steadiness(&self) -> Steadiness {
        let (from, to) = (self.base(self.from), self.base(&self.to));
        let enumerated = |of: &DataType| matches!(self.user_kind(of), Some(TypeKind::Enum { .. }));
        let plain = |of: &DataType| enumerated(of) || builtin(of).is_some_and(|name| PLAIN.contains(&name));
        let number = |of: &DataType| integer(of).is_some() || builtin(of).is_some_and(|name| FLOATS.contains(&name));
        let text = |of: &DataType| matches!(builtin(of), Some("text" | "varchar" | "bpchar"));
        if from.name == to.name && from.array == to.array {
            return Steadiness::Always;
        }
        let float = |of: &DataType| matches!(builtin(of), Some("float4" | "float8"));
        if plain(&from) && plain(&to) || number(&from) && number(&to) || text(&from) && float(&to) {
            return Steadiness::Always;
        }
        if is_time(&from) && is_time(&to) && !from.array && !to.array {
            let zoned = |of: &DataType| matches!(builtin(of), Some("timestamptz" | "timetz"));
            return if zoned(&from) == zoned(&to) { Steadiness::Always } else { Steadiness::InOneZone };
        }
        Steadiness::Unknown
    }
}

/// Whether a cast gives the same in every session.
enum Steadiness {
    Always,
    InOneZone,
    Unknown,
}

/// Types whose text and casts among each other no setting changes.
const PLAIN: [&str; 19] = [
    "int2", "int4", "int8", "numeric", "oid", "bool", "text", "varchar", "bpchar", "char", "name", "uuid", "json",
    "jsonb", "bit", "varbit", "inet", "cidr", "macaddr",
];
const FLOATS: [&str; 3] = ["numeric", "float4", "float8"];

fn builtin(of: &DataType) -> Option<&str> {
    (of.name.schema == "pg_catalog").then_some(of.name.name.as_str())
}

/// Bytes of an integer type.
fn integer(of: &DataType) -> Option<u8> {
    if of.array {
        return None;
    }
    match builtin(of)? {
        "int2" => Some(2),
        "int4" => Some(4),
        "int8" => Some(8),
        _ => None,
    }
}

fn is_time(of: &DataType) -> bool {
    !of.array && matches!(builtin(of), Some("date" | "time" | "timetz" | "timestamp" | "timestamptz"))
}

/// Whether every value of the one is a value of the other.
fn widens(from: &DataType, to: &DataType) -> bool {
    if from.array || to.array {
        return false;
    }
    let unlimited = to.modifier < 0;
    match (integer(from), integer(to)) {
        (Some(from), Some(to)) => from <= to,
        (Some(_), None) => builtin(to) == Some("numeric") && unlimited,
        _ => match (builtin(from), builtin(to)) {
            (Some("float4"), Some("float8")) => true,
            (Some("varchar"), Some("varchar")) => unlimited || from.modifier >= 0 && from.modifier <= to.modifier,
            (Some("varchar"), Some("text")) => true,
            (Some("date"), Some("timestamp")) => unlimited,
            _ => false,
        },
    }
}

/// The types, innermost first, when the expression is the column in nothing but casts.
fn casts_of<'n>(expression: &'n Node, column: &str) -> Option<Vec<&'n pg_query::protobuf::TypeName>> {
    match expression.node.as_ref()? {
        NodeEnum::ColumnRef(reference) => {
            (strings(&reference.fields).last().map(String::as_str) == Some(column)).then(Vec::new)
        }
        NodeEnum::TypeCast(cast) => {
            let mut types = casts_of(cast.arg.as_deref()?, column)?;
            types.push(cast.type_name.as_ref()?);
            Some(types)
        }
        _ => None,
    }
}

/// `c AT TIME ZONE 'constant'`.
fn at_constant_zone(expression: &Node, column: &str) -> bool {
    let Some(NodeEnum::FuncCall(call)) = expression.node.as_ref() else { return false };
    let [zone, value] = call.args.as_slice() else { return false };
    strings(&call.funcname).last().map(String::as_str) == Some("timezone")
        && matches!(zone.node, Some(NodeEnum::AConst(_)))
        && casts_of(value, column).is_some_and(|types| types.is_empty())
}
