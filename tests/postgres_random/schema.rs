//! Random schemas with rows in them.

use crate::dice::Dice;

/// A type with an expression over `g` that makes its values.
pub const TYPES: &[(&str, &str)] = &[
    ("integer", "g % 7"),
    ("bigint", "g"),
    ("numeric(10,2)", "g / 4.0"),
    ("text", "'v' || g % 5"),
    ("varchar(10)", "'v' || g"),
    ("boolean", "g % 2 = 0"),
    ("timestamptz", "'2020-01-01 00:00:00+00'::timestamptz + g * interval '1 hour'"),
    ("date", "'2020-01-01'::date + g"),
    ("uuid", "md5(g::text)::uuid"),
    ("jsonb", "to_jsonb(g)"),
    ("integer[]", "ARRAY[g, g % 3]"),
    ("mood", "CASE WHEN g % 2 = 0 THEN 'sad' ELSE 'ok' END::mood"),
];

const TABLES: &[&str] = &[
    "a",
    "\"Order\"",
    "\"S 1\".\"täble \"\"x\"\"\"",
    "\"S 1\".plain",
    "a_name_that_is_as_long_as_a_name_may_be_in_this_server_1234567",
];
pub const COLUMNS: &[&str] = &["b", "c", "\"Größe\"", "\"select\"", "d_e", "\"F f\""];

/// Types, functions and two or three tables.
pub fn setup(dice: &mut Dice) -> String {
    let mut sql = "CREATE SCHEMA \"S 1\"; CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE FUNCTION seven() RETURNS integer LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 7; END';
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';\n"
        .to_owned();
    let first = dice.below(TABLES.len());
    let tables: Vec<&str> = (0..2 + dice.below(2)).map(|at| TABLES[(first + at) % TABLES.len()]).collect();
    for (at, name) in tables.iter().enumerate() {
        sql.push_str(&table(dice, name, tables.get(at.wrapping_sub(1)).copied()));
    }
    sql
}

fn table(dice: &mut Dice, name: &str, referenced: Option<&str>) -> String {
    let partitioned = dice.once_in(4);
    let key = if partitioned { "" } else { " PRIMARY KEY" };
    let mut columns = vec![format!("id {}{key}", dice.pick(&["integer", "bigint"]))];
    let mut values = vec!["g".to_owned()];
    for column in COLUMNS.iter().take(1 + dice.below(4)) {
        let (data_type, value) = *dice.pick(TYPES);
        let (constraint, value) = match dice.below(4) {
            0 => (" NOT NULL", value.to_owned()),
            1 => ("", format!("CASE WHEN g % 11 <> 0 THEN {value} END")),
            _ => ("", value.to_owned()),
        };
        columns.push(format!("{column} {data_type}{constraint}"));
        values.push(value);
    }
    if let Some(referenced) = referenced.filter(|_| !partitioned && dice.once_in(2)) {
        columns.push(format!("parent bigint /* {referenced} */"));
        values.push("g".to_owned());
    }
    let by = if partitioned { " PARTITION BY RANGE (id)" } else { "" };
    let mut sql = format!("CREATE TABLE {name} ({}){by};\n", columns.join(", "));
    if partitioned {
        for (part, bound) in [("p1", "FROM (0) TO (20)"), ("p2", "FROM (20) TO (1000)")] {
            let part = format!(
                "\"{}_{part}\"",
                name.rsplit('.').next().unwrap().replace('"', "").chars().take(40).collect::<String>()
            );
            sql.push_str(&format!("CREATE TABLE {part} PARTITION OF {name} FOR VALUES {bound};\n"));
        }
    }
    let rows = *dice.pick(&[0, 40, 40]);
    sql.push_str(&format!("INSERT INTO {name} SELECT {} FROM generate_series(1, {rows}) g;\n", values.join(", ")));
    sql
}
