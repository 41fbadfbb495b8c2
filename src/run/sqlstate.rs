//! SQLSTATE: what class an error is of, and what of it may be shown.

use tokio_postgres::error::DbError;

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Someone holds a lock: give up the place in the queue, pause, try again.
    Lock,
    /// Chosen as the victim of a deadlock or serialization conflict: try again.
    Conflict,
    /// The statement was cancelled: by a timeout of ours, by our watchdog, or by a person.
    Cancelled,
    /// The server has no room for the moment.
    Saturated,
    /// The server is going away or coming up.
    Gone,
    /// A row or value does not fit: trying again gives the same.
    Data,
    /// Anything else: trying again gives the same.
    Permanent,
}

/// Classes by the server's errcodes.txt.
pub(super) fn classify(sqlstate: &str) -> Class {
    match sqlstate {
        "55P03" => Class::Lock,
        "40P01" | "40001" => Class::Conflict,
        "57014" => Class::Cancelled,
        "53300" | "53200" => Class::Saturated,
        // 25P03/25P04: the server ended an idle or long transaction of ours; 25006: it became a standby.
        "25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => Class::Gone,
        code if code.starts_with("08") => Class::Gone,
        code if code.starts_with("22") || code.starts_with("23") || code.starts_with("P0") => Class::Data,
        "44000" | "21000" => Class::Data,
        _ => Class::Permanent,
    }
}

/// Whether the server misses an object, or meets one where there should be none.
pub(super) fn is_about_names(sqlstate: &str) -> bool {
    matches!(
        sqlstate,
        "42P01" | "42703" | "42704" | "42883" | "3F000" | "42P07" | "42701" | "42710" | "42723" | "42P06" | "42809"
    )
}

/// SQLSTATE, condition and the identifiers in question. DETAIL, HINT, CONTEXT and any primary message that may
/// quote a value or an author's text are left out.
pub(super) fn describe(error: &DbError) -> String {
    let code = error.code().code();
    // The author of the code chooses all fields, and may choose values.
    if error.routine().is_some_and(raises) {
        return format!("{} ({code})", condition(code));
    }
    let mut text = match error.where_().is_some_and(in_code) {
        _ if !names_identifiers_only(code) => condition(code).to_owned(),
        true if !names_what_is_there(code) => format!("{}, in code that the statement runs", condition(code)),
        _ => error.message().to_owned(),
    };
    let relation = match (error.schema(), error.table()) {
        (Some(schema), Some(table)) => Some(crate::sql::quote::qualified(schema, table)),
        (None, Some(table)) => Some(crate::sql::quote::ident(table)),
        _ => None,
    };
    let parts = [
        ("relation", relation),
        ("column", error.column().map(crate::sql::quote::ident)),
        ("constraint", error.constraint().map(crate::sql::quote::ident)),
        ("type", error.datatype().map(crate::sql::quote::ident)),
    ];
    let named: Vec<String> =
        parts.into_iter().filter_map(|(what, name)| name.map(|name| format!("{what} {name}"))).collect();
    if !named.is_empty() {
        text = format!("{text} [{}]", named.join(", "));
    }
    format!("{text} ({code})")
}

/// Whether the server's routine gives on what code says: `RAISE` of PL/pgSQL, `plpy.error` and the exceptions of PL/Python.
fn raises(routine: &str) -> bool {
    matches!(routine, "exec_stmt_raise" | "PLy_output" | "PLy_elog_impl")
}

/// Whether the context is that of code that was running, which may have put a statement together from values, so that
/// its names are values. The body of an SQL function that is being created has a context as well
/// (`sql_function_parse_error_callback`); its names are the author's. Servers speak other languages too: what is not
/// known to be that is taken for code.
fn in_code(context: &str) -> bool {
    let is_created = context.starts_with("SQL function \"") && context.ends_with('"') && !context.contains('\n');
    !context.is_empty() && !is_created
}

/// Whether messages of this code name only what the server has found, and not what a statement has asked for.
fn names_what_is_there(code: &str) -> bool {
    code == "55P03" || ["23", "40", "53", "57"].iter().any(|class| code.starts_with(class))
}

/// Whether the server's own primary messages of this code quote names only. Class 22 quotes values (`invalid
/// input syntax for type integer: "..."`), 42601 a piece of the text, 55P04 and 42710 may quote an enum label.
fn names_identifiers_only(code: &str) -> bool {
    if matches!(code, "42601" | "55P04" | "42710") {
        return false;
    }
    ["0A", "23", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// The condition's name in words (errcodes.txt), or that of its class.
fn condition(code: &str) -> &'static str {
    match code {
        "22001" => "a string is too long for its type",
        "22003" => "a number is out of range",
        "22004" => "a null value is not allowed",
        "22007" => "a date or time has the wrong format",
        "22008" => "a date or time is out of range",
        "22012" => "division by zero",
        "22023" => "a parameter value is invalid",
        "22P02" => "a text does not fit the type it is converted to",
        "22P03" => "a binary value does not fit its type",
        "22P05" => "a character cannot be translated",
        "0A000" => "the server does not support this",
        "3F000" => "a schema does not exist",
        "42501" => "the role lacks a privilege",
        "42601" => "syntax error",
        "42701" | "42723" | "42P06" | "42P07" => "an object of this name exists already",
        "42703" => "a column does not exist",
        "42704" => "an object does not exist",
        "42883" => "a function or operator does not exist",
        "42P01" => "a table does not exist",
        "42710" => "the object already exists",
        "44000" => "a row violates the view's check option",
        "55P04" => "an enum value is used in the transaction that adds it",
        "P0001" => "an exception was raised by a function",
        "P0002" => "a function found no row",
        "P0003" => "a function found too many rows",
        "P0004" => "an assertion of a function failed",
        "XX000" => "internal error of the server",
        "XX001" => "a table is corrupted",
        "XX002" => "an index is corrupted",
        _ => match code.get(..2) {
            Some("21") => "a subquery gives more than one row",
            Some("22") => "a value does not fit",
            Some("38") | Some("39") => "a function failed",
            Some("P0") => "a function failed",
            Some("F0") => "the server's configuration file is wrong",
            Some("HV") => "the foreign data wrapper failed",
            Some("XX") => "internal error of the server",
            _ => "the server refuses the statement",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (code, class) in [
            ("55P03", Class::Lock),
            ("40P01", Class::Conflict),
            ("57014", Class::Cancelled),
            ("57P01", Class::Gone),
            ("08006", Class::Gone),
            ("53300", Class::Saturated),
            ("23505", Class::Data),
            ("22012", Class::Data),
            ("42P01", Class::Permanent),
            ("53100", Class::Permanent),
        ] {
            assert_eq!(classify(code), class, "{code}");
        }
    }

    #[test]
    fn values_are_quoted_by_some_codes() {
        assert!(!names_identifiers_only("22P02"));
        assert!(!names_identifiers_only("42601"));
        assert!(!names_identifiers_only("P0001"));
        assert!(names_identifiers_only("42703"));
        assert!(names_identifiers_only("23505"));
    }

    #[test]
    fn code_is_told_by_its_context() {
        assert!(in_code("PL/pgSQL function inline_code_block line 1 at EXECUTE"));
        assert!(in_code("SQL function \"f\" statement 1"));
        assert!(in_code("SQL function \"f\"\nPL/pgSQL function g() line 3 at EXECUTE"));
        assert!(in_code("PL/pgSQL-Funktion f() Zeile 3 bei EXECUTE"));
        assert!(!in_code("SQL function \"f\""));
        assert!(!in_code(""));
    }
}
