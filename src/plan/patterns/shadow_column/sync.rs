//! The trigger that keeps one column in step with another.

use super::conversion::{Conversion, Write};
use crate::catalog::Name;
use crate::plan::model::Check;
use crate::sql::quote;

/// The trigger and its function.
pub(super) struct Sync<'a> {
    /// The table.
    pub table: &'a Name,
    /// The trigger.
    pub trigger: String,
    /// Its function.
    pub function: Name,
    /// Time zone that the conversion is made in.
    pub zone: &'a str,
}

impl Sync<'_> {
    /// Fills `shadow` from the column, which has its own name.
    pub fn forward(&self, conversion: &Conversion<'_>, shadow: &str) -> Vec<String> {
        let shadow = new(shadow);
        let body = format!("BEGIN\n  {shadow} := {};\n  RETURN NEW;\nEND", conversion.value(&new));
        let when = (conversion.cast_is_assignment() && !conversion.zoned).then(|| conversion.differs(&shadow, &new));
        self.create(conversion, &body, when)
    }

    /// Fills the former column `kept` from `live`, as far as there is a way back; a value without one is null.
    pub fn backward(&self, conversion: &Conversion<'_>, column: &str, live: &str, kept: &str) -> Vec<String> {
        let value = conversion.back(&new(live)).unwrap_or_else(|| "NULL".to_owned());
        let assignment = format!("{} := {value};", new(kept));
        let body = if value == "NULL" || conversion.back_is_total() {
            format!("BEGIN\n  {assignment}\n  RETURN NEW;\nEND")
        } else {
            // The application's statement must not fail for the sake of the former column.
            format!(
                "BEGIN\n  BEGIN\n    {assignment}\n  EXCEPTION WHEN data_exception OR integrity_constraint_violation \
                 THEN\n    {} := NULL;\n  END;\n  RETURN NEW;\nEND",
                new(kept)
            )
        };
        let write: Write<'_> = &|name| new(if name == column { kept } else { name });
        let when = (!conversion.zoned).then(|| conversion.differs(&new(live), write));
        self.create(conversion, &body, when)
    }

    fn create(&self, conversion: &Conversion<'_>, body: &str, when: Option<String>) -> Vec<String> {
        let (trigger, table, function) = (quote::ident(&self.trigger), self.table, &self.function);
        let zone =
            if conversion.zoned { format!(" SET timezone = {}", quote::literal(self.zone)) } else { String::new() };
        let when = when.map_or_else(String::new, |when| format!(" WHEN ({when})"));
        vec![
            format!(
                "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql \
                 SET search_path = pg_catalog, pg_temp{zone} AS {}",
                quote::literal(body)
            ),
            format!(
                "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW{when} \
                 EXECUTE FUNCTION {function}()"
            ),
            // Rows that a subscription writes need it too.
            format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}"),
        ]
    }

    /// Whether the trigger has been on since it was made. `DISABLE TRIGGER` and `ENABLE TRIGGER` leave another state behind
    /// than `ENABLE ALWAYS` (`pg_trigger.tgenabled`), so what was off in between shows.
    pub fn never_off(&self, members: &[Name]) -> Check {
        let tables: Vec<String> = members.iter().map(|member| quote::literal(&member.to_string())).collect();
        let query = format!(
            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgname = {} AND t.tgenabled <> 'A' AND t.tgrelid \
             IN (SELECT pg_catalog.to_regclass(n)::pg_catalog.oid FROM pg_catalog.unnest(ARRAY[{}]) n))",
            quote::literal(&self.trigger),
            tables.join(", ")
        );
        let message = format!(
            "somebody has switched the trigger {} of {} off, and perhaps on again: rows that were written meanwhile have \
             another value in the new column. Roll back, and apply again",
            quote::ident(&self.trigger),
            self.table
        );
        Check { query, message }
    }

    /// Takes the trigger away.
    pub fn drop_trigger(&self) -> String {
        format!("DROP TRIGGER {} ON {}", quote::ident(&self.trigger), self.table)
    }

    /// Takes the function away.
    pub fn drop_function(&self) -> String {
        format!("DROP FUNCTION {}()", self.function)
    }
}

fn new(column: &str) -> String {
    format!("NEW.{}", quote::ident(column))
}
