//! `DO` blocks that are nothing but statements of the schema: these are planned as if the author had written them
//! bare, so that they take their safe forms and can be undone.

use pg_query::NodeEnum;
use serde_json::Value;

use super::analyze::{TransactionRule, analyze};
use super::author::Authored;
use super::expand::single;
use crate::catalog::Catalog;
use crate::catalog::apply::{apply, do_body};
use crate::sql::Statement;

/// The statements of a block, and the errors that it takes for success.
struct Code {
    statements: Vec<Statement>,
    handled: Vec<&'static str>,
}

/// For each statement of the author what stands for it; `None` where that is itself.
pub(super) fn opened(authored: &[Authored<'_>], catalog: &Catalog) -> Vec<Option<Vec<Statement>>> {
    let codes: Vec<Option<Code>> = authored.iter().map(|authored| code(authored.statement)).collect();
    let Some(last) = codes.iter().rposition(Option::is_some) else {
        return authored.iter().map(|_| None).collect();
    };
    let mut opened = Vec::new();
    let mut catalog = catalog.clone();
    let server = catalog.server.clone();
    let mut foreseen = true;
    for (position, (authored, code)) in authored.iter().zip(codes).enumerate() {
        if !foreseen || position > last {
            opened.push(None);
            continue;
        }
        authored.settings.enter(&mut catalog);
        let statements = code.and_then(|code| outcome(code, &mut catalog));
        if statements.is_none() {
            foreseen = apply(&mut catalog, authored.statement).is_ok();
        }
        opened.push(statements);
        catalog.server = server.clone();
    }
    opened
}

/// What the code comes to on that catalog, which is moved behind it: all of its statements, or none of them.
fn outcome(code: Code, catalog: &mut Catalog) -> Option<Vec<Statement>> {
    let mut after = catalog.clone();
    for statement in &code.statements {
        let impact = analyze(statement, &after);
        if let Some(refusal) = impact.refused {
            return code.handled.contains(&refusal.sqlstate.as_str()).then(Vec::new);
        }
        if impact.transaction == TransactionRule::Forbidden {
            return None;
        }
        apply(&mut after, statement).ok()?;
    }
    *catalog = after;
    Some(code.statements)
}

fn code(statement: &Statement) -> Option<Code> {
    let NodeEnum::DoStmt(block) = &statement.node else {
        return None;
    };
    let parsed = do_body(block).ok()?;
    let function = parsed.pointer("/0/PLpgSQL_function")?;
    // The server's own: FOUND, and the variables of handlers.
    let declares = function.get("datums").and_then(Value::as_array).is_some_and(|datums| {
        datums.iter().any(|datum| {
            let name = datum.pointer("/PLpgSQL_var/refname").and_then(Value::as_str);
            !matches!(name, Some("found" | "sqlstate" | "sqlerrm"))
        })
    });
    if declares {
        return None;
    }
    let mut body = function.pointer("/action/PLpgSQL_stmt_block")?;
    // The parser puts one that handles errors into another, which returns behind it (`add_dummy_return`).
    if body.get("exceptions").is_none()
        && let Some(inner) = body.pointer("/body/0/PLpgSQL_stmt_block")
        && body.get("body").and_then(Value::as_array).is_some_and(|items| items.iter().skip(1).all(returns))
    {
        body = inner;
    }
    let handled = match body.get("exceptions") {
        None => Vec::new(),
        Some(exceptions) => handlers(exceptions)?,
    };
    let mut statements = Vec::new();
    for item in body.get("body").and_then(Value::as_array)? {
        let (kind, content) = item.as_object()?.iter().next()?;
        match kind.as_str() {
            "PLpgSQL_stmt_execsql" if content.get("into").is_none() => {
                let text = content.pointer("/sqlstmt/PLpgSQL_expr/query").and_then(Value::as_str)?;
                statements.push(single(text).filter(|statement| is_plain(&statement.node))?);
            }
            // The end of the block.
            "PLpgSQL_stmt_return" => {}
            _ => return None,
        }
    }
    Some(Code { statements, handled })
}

fn returns(statement: &Value) -> bool {
    statement.get("PLpgSQL_stmt_return").is_some()
}

/// The errors that handlers without anything to do take; `None` where one does something, or takes what rows decide.
fn handlers(exceptions: &Value) -> Option<Vec<&'static str>> {
    let mut handled = Vec::new();
    for item in exceptions.pointer("/PLpgSQL_exception_block/exc_list")?.as_array()? {
        let exception = item.get("PLpgSQL_exception")?;
        if exception.get("action").and_then(Value::as_array).is_some_and(|actions| !actions.is_empty()) {
            return None;
        }
        for condition in exception.get("conditions")?.as_array()? {
            handled.push(sqlstate(condition.pointer("/PLpgSQL_condition/condname")?.as_str()?)?);
        }
    }
    Some(handled)
}

/// Conditions that the schema alone decides (`plerrcodes.h`).
fn sqlstate(condition: &str) -> Option<&'static str> {
    Some(match condition {
        "duplicate_object" => "42710",
        "duplicate_table" => "42P07",
        "duplicate_column" => "42701",
        "duplicate_schema" => "42P06",
        "duplicate_function" => "42723",
        "undefined_object" => "42704",
        "undefined_table" => "42P01",
        "undefined_column" => "42703",
        "invalid_table_definition" => "42P16",
        _ => return None,
    })
}

/// Statements of the schema, which know nothing of variables and mean the same outside of the block.
fn is_plain(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::AlterTableStmt(_)
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::CreateSchemaStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::CreateStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::DropStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::RenameStmt(_)
            | NodeEnum::ViewStmt(_)
    )
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, apply::apply};
    use crate::plan::{HazardId, Plan, Policy, RollbackClass, plan};
    use crate::sql::parse;

    fn planned(text: &str) -> Plan {
        use strum::IntoEnumIterator;
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        for statement in
            parse("CREATE SCHEMA public; CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TYPE e AS ENUM ('x')")
                .unwrap()
        {
            apply(&mut catalog, &statement).unwrap();
        }
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        plan(&parse(text).unwrap(), &catalog, &policy).unwrap()
    }

    fn guarded(statement: &str) -> String {
        format!("DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR duplicate_table THEN NULL; END $$")
    }

    #[test]
    fn a_block_that_guards_a_statement_is_planned_as_the_statement() {
        let bare = "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES a";
        let plan = planned(&guarded(bare));
        assert_eq!(plan.summary.rollback, RollbackClass::Lossless);
        let texts = |plan: &Plan| plan.steps.iter().map(|step| step.action.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&plan), texts(&planned(bare)));
        assert_eq!(plan.steps[0].origin.start, 0);
    }

    #[test]
    fn what_is_there_already_is_nothing_to_do() {
        let plan = planned(&guarded("CREATE TYPE e AS ENUM ('y'); ALTER TABLE a ADD COLUMN c int"));
        assert_eq!(plan.steps, []);
        assert!(plan.notes[0].contains("nothing to do"), "{:?}", plan.notes);
    }

    #[test]
    fn what_code_changes_in_rows_is_said_and_what_it_does_beyond_them_has_no_way_back() {
        let code = |inner: &str| {
            format!("DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM a LOOP {inner}; END LOOP; END $$")
        };
        let filled = planned(&code("UPDATE a SET b = 1 WHERE id = r.id"));
        let lost = "001-do: what the code changed in public.a";
        assert_eq!((filled.summary.rollback, filled.summary.rollback_reason.as_str()), (RollbackClass::Lossy, lost));
        let both = "DO $$ DECLARE n int := 3; BEGIN ALTER TABLE a ADD COLUMN c int; UPDATE a SET b = n; END $$";
        let plan = planned(both);
        assert_eq!((plan.summary.rollback, plan.summary.rollback_reason.as_str()), (RollbackClass::Lossy, lost));
        for inner in ["CREATE ROLE x", "EXECUTE 'UPDATE a SET b = 1'"] {
            assert_eq!(planned(&code(inner)).summary.rollback, RollbackClass::ForwardOnly, "{inner}");
        }
    }

    #[test]
    fn code_that_rows_or_conditions_decide_stays_whole() {
        for text in [
            "DO $$ BEGIN CREATE UNIQUE INDEX i ON a (b); EXCEPTION WHEN unique_violation THEN NULL; END $$",
            "DO $$ BEGIN CREATE INDEX i ON a (b); EXCEPTION WHEN OTHERS THEN NULL; END $$",
            "DO $$ BEGIN IF true THEN CREATE INDEX i ON a (b); END IF; END $$",
        ] {
            assert_eq!(planned(text).summary.rollback, RollbackClass::ForwardOnly, "{text}");
        }
        for (text, class) in [
            ("DO $$ DECLARE n int; BEGIN CREATE INDEX i ON a (b); END $$", RollbackClass::Lossless),
            ("DO $$ BEGIN CREATE INDEX i ON a (b); UPDATE a SET b = 1; END $$", RollbackClass::Lossy),
        ] {
            let plan = planned(text);
            let steps: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
            assert_eq!((steps, plan.summary.rollback), (vec!["001-do"], class), "{text}");
        }
    }
}
