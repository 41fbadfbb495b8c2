//! Questions of ways back.

use super::*;
use crate::plan::model::{Empty, Postcondition, Transaction};

fn undo(action: Action) -> UndoAction {
    UndoAction { action, postcondition: Postcondition::Recorded(Empty {}), locks: Vec::new() }
}

fn sql(statements: &[&str]) -> UndoAction {
    let statements = statements.iter().map(|text| (*text).to_owned()).collect();
    undo(Action::Transaction(Transaction { statements, long: false, small: None, guards: Vec::new() }))
}

fn asked(actions: &[UndoAction]) -> Vec<Asked> {
    let root = |name: &str| if name.starts_with("public.part") { "public.t".to_owned() } else { name.to_owned() };
    questions(actions.iter().map(|action| ("s", action)), &root).into_iter().map(|asked| asked.what).collect()
}

fn no_row(wrong: &str) -> Asked {
    Asked::NoRow { from: "public.t".into(), wrong: wrong.into() }
}

fn fill(table: &str) -> UndoAction {
    undo(Action::Backfill(Backfill {
        schema: "public".into(),
        table: table.into(),
        key: Vec::new(),
        assignments: vec![Assignment { column: "old".into(), expression: "CAST(id AS integer)".into() }],
        filter: Some("id IS DISTINCT FROM CAST(old AS bigint)".into()),
        idempotent: true,
    }))
}

fn compare() -> UndoAction {
    undo(Action::Check(Check {
        query: "SELECT NOT EXISTS (SELECT FROM public.t WHERE id IS DISTINCT FROM CAST(old AS bigint))".into(),
        message: String::new(),
    }))
}

#[test]
fn a_column_that_comes_back_is_asked_for_over_the_one_that_is_there() {
    let restore = || sql(&["ALTER TABLE public.t ADD COLUMN old integer"]);
    let found = asked(&[restore(), fill("part1"), fill("part2"), compare()]);
    let filter = "id IS DISTINCT FROM CAST((NULL::int) AS bigint)";
    let values = |table: &str| Asked::Values {
        from: format!("ONLY public.{table}"),
        filter: Some(filter.into()),
        expression: "CAST(id AS integer)".into(),
    };
    assert_eq!(found[..2], [values("part1"), values("part2")]);
    let Asked::NoRow { wrong, .. } = &found[2] else { panic!("{found:?}") };
    assert!(wrong.contains("CASE WHEN") && !wrong.contains("old"), "{wrong}");
    assert_eq!(asked(&[compare()]), [no_row("id IS DISTINCT FROM old::bigint")]);
}

#[test]
fn constraints_that_come_back_are_asked_for_when_they_are_proven() {
    let not_null = || sql(&["ALTER TABLE public.t ALTER COLUMN v SET NOT NULL"]);
    assert_eq!(asked(&[not_null()]), [no_row("v IS NULL")]);
    let renamed = sql(&["ALTER TABLE public.t RENAME COLUMN w TO v"]);
    assert_eq!(asked(&[renamed, not_null()]), [no_row("(w) IS NULL")]);
    let add = || sql(&["ALTER TABLE public.t ADD CONSTRAINT c CHECK (v > 0) NOT VALID"]);
    assert_eq!(asked(&[add()]), []);
    assert_eq!(asked(&[add(), sql(&["ALTER TABLE public.t VALIDATE CONSTRAINT c"])]), [no_row("NOT (v > 0)")]);
    let narrow = sql(&["ALTER TABLE public.t ALTER COLUMN v TYPE int"]);
    let values = Asked::Values { from: "public.t".into(), filter: None, expression: "v::int".into() };
    assert_eq!(asked(&[narrow]), [values]);
}

#[test]
fn nothing_is_asked_behind_changes_of_rows() {
    let not_null = || sql(&["ALTER TABLE public.t ALTER COLUMN v SET NOT NULL"]);
    assert_eq!(asked(&[sql(&["DELETE FROM public.u WHERE a = 1"]), not_null()]), []);
    assert_eq!(asked(&[sql(&["ALTER TABLE public.t DROP COLUMN v"]), not_null()]), []);
    assert_eq!(asked(&[sql(&["CREATE TABLE public.t (v int)"]), not_null()]), []);
    assert_eq!(asked(&[sql(&["ALTER TABLE t ADD COLUMN w int"]), not_null()]), []);
    let index = sql(&["CREATE INDEX i ON public.t (v)", "COMMENT ON INDEX public.i IS 'x'"]);
    assert_eq!(asked(&[index, not_null()]), [no_row("v IS NULL")]);
}
