//! Types as `format_type` prints them with an empty search path.

use super::modifier::print_modifier;
use crate::catalog::Name;
use crate::sql::quote;

/// The type's text: SQL's name for the types that have one, the bare name for other built-in ones,
/// `schema.name` for the rest. `modifier` is -1 when there is none. `None` for a modifier that cannot be printed.
pub fn format_type(name: &Name, modifier: i32, array: bool) -> Option<String> {
    let plain =
        if name.schema == "pg_catalog" { builtin(&name.name, modifier)? } else { user_defined(name, modifier)? };
    Some(if array { plain + "[]" } else { plain })
}

fn user_defined(name: &Name, modifier: i32) -> Option<String> {
    (modifier < 0).then(|| name.to_string())
}

fn builtin(name: &str, modifier: i32) -> Option<String> {
    let without = match name {
        "bool" => "boolean",
        "float4" => "real",
        "float8" => "double precision",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "varchar" => "character varying",
        "varbit" => "bit varying",
        // A keyword since 16, printed bare all the same.
        "json" if modifier < 0 => name,
        "numeric" | "interval" => name,
        "time" if modifier < 0 => "time without time zone",
        "timetz" if modifier < 0 => "time with time zone",
        "timestamp" if modifier < 0 => "timestamp without time zone",
        "timestamptz" if modifier < 0 => "timestamp with time zone",
        "time" | "timetz" => "time",
        "timestamp" | "timestamptz" => "timestamp",
        // Without a length these two are not what SQL's name means: `bit` is `bit(1)`.
        "bpchar" if modifier >= 0 => "character",
        "bit" if modifier >= 0 => "bit",
        other => return (modifier < 0).then(|| quote::ident(other)),
    };
    if modifier < 0 {
        return Some(without.to_owned());
    }
    Some(format!("{without}{}", print_modifier(name, modifier)?))
}
