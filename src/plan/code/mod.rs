//! `DO` blocks whose statements the catalog decides: those that run are planned as if the author had written them bare,
//! so that they take their safe forms and can be undone.

mod ask;
mod follow;
mod query;
mod rows;
mod value;

use follow::Code;

use super::author::Authored;
use crate::catalog::Catalog;
use crate::catalog::apply::apply;
use crate::sql::Statement;

/// For each statement of the author what stands for it; `None` where that is itself.
pub(super) fn opened(authored: &[Authored<'_>], catalog: &Catalog) -> Vec<Option<Vec<Statement>>> {
    let codes: Vec<Option<Code>> = authored.iter().map(|authored| Code::read(authored.statement)).collect();
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
        let statements = code.and_then(|code| code.outcome(authored.statement, &mut catalog));
        if statements.is_none() {
            foreseen = apply(&mut catalog, authored.statement).is_ok();
        }
        opened.push(statements);
        catalog.server = server.clone();
    }
    opened
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

    /// Whether the plan for code under that condition is the plan for what is in it; nothing when it stays code.
    fn holds(condition: &str) -> Option<bool> {
        let plan = planned(&format!("DO $$ BEGIN IF {condition} THEN COMMENT ON TABLE a IS 'x'; END IF; END $$"));
        match plan.steps.as_slice() {
            [] => Some(false),
            [step] if step.id == "001-do" => None,
            _ => Some(true),
        }
    }

    #[test]
    fn conditions_that_ask_the_catalog_are_answered() {
        let columns = "SELECT 1 FROM information_schema.columns WHERE table_name = 'a' AND column_name =";
        let keys = "pg_constraint WHERE conrelid = 'a'::regclass AND contype = 'p'";
        let used = "SELECT * FROM information_schema.constraint_column_usage WHERE table_schema = 'public' AND table_name = 'a' AND constraint_name =";
        let labels = "pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = 'e' AND e.enumlabel =";
        for (condition, wanted) in [
            (format!("EXISTS ({columns} 'b')"), true),
            (format!("NOT EXISTS ({columns} 'c' AND table_schema = 'public')"), true),
            (format!("EXISTS ({columns} 'b' AND table_schema = 'other')"), false),
            (format!("EXISTS ({columns} 'b' AND data_type = 'integer' AND is_nullable = 'YES')"), true),
            (format!("EXISTS ({columns} 'b') AND NOT EXISTS ({columns} 'id')"), false),
            (format!("EXISTS ({columns} 'b' LIMIT 1)"), true),
            ("(SELECT data_type FROM information_schema.columns WHERE table_name = 'a' AND column_name = 'b') <> 'text'".into(), true),
            ("EXISTS (SELECT FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'a')".into(), true),
            ("(SELECT count(*) FROM information_schema.tables WHERE table_name IN ('a', 'z')) = 1".into(), true),
            ("(SELECT count(*) = 0 FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'a_p%y')".into(), false),
            (format!("EXISTS (SELECT 1 FROM {keys})"), true),
            (format!("NOT EXISTS (SELECT 1 FROM {keys} AND conname = 'a_pkey')"), false),
            (format!("EXISTS ({used} 'a_pkey')"), true),
            (format!("EXISTS ({used} 'a_pkey' AND column_name = 'b')"), false),
            (format!("NOT EXISTS ({used} 'f')"), true),
            (format!("EXISTS (SELECT 1 FROM {labels} 'x')"), true),
            (format!("EXISTS (SELECT 1 FROM {labels} 'y')"), false),
            ("EXISTS (SELECT 1 FROM pg_type WHERE typname = 'f')".into(), false),
            ("to_regclass('public.a') IS NULL OR to_regclass('z') IS NOT NULL".into(), false),
            ("EXISTS (SELECT 1 FROM pg_class c, pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = 'public' AND c.relname = 'a' AND c.relkind = 'r')".into(), true),
            ("EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'b' AND NOT attisdropped)".into(), true),
            ("true".into(), true),
        ] {
            assert_eq!(holds(&condition), Some(wanted), "{condition}");
        }
    }

    #[test]
    fn conditions_that_something_else_may_decide_are_not_answered() {
        for condition in [
            "EXISTS (SELECT 1 FROM a)",
            "EXISTS (SELECT 1 FROM information_schema.columns WHERE column_name = 'is_nullable')",
            "EXISTS (SELECT 1 FROM information_schema.tables WHERE table_name = 'columns')",
            "EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'a' AND ordinal_position = 2)",
            "EXISTS (SELECT 1 FROM pg_class WHERE relname = 'pg_class')",
            "EXISTS (SELECT 1 FROM pg_type WHERE typname = '_e')",
            "EXISTS (SELECT 1 FROM pg_type WHERE typname = 'int4')",
            "EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'ctid')",
            "EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = 'z'::regclass)",
            "(SELECT count(*) FROM pg_class) > 1",
            "EXISTS (SELECT count(*) FROM pg_class WHERE relname = 'z')",
            "EXISTS (SELECT 1 FROM pg_class WHERE relname = 'z' UNION SELECT 1 FROM pg_class)",
            "EXISTS (SELECT 1 FROM pg_settings WHERE name = 'x')",
            "current_setting('a.b', true) = 'x'",
            "to_regclass('/* comment */a') IS NOT NULL",
        ] {
            assert_eq!(holds(condition), None, "{condition}");
        }
    }

    #[test]
    fn what_others_own_may_be_hidden() {
        let ask = |owner: &str| {
            let mut catalog = Catalog::default();
            catalog.server.version = 180_000;
            catalog.server.user = "me".to_owned();
            catalog.server.search_path = vec!["public".to_owned()];
            for statement in parse("CREATE SCHEMA public; CREATE TABLE a (id int)").unwrap() {
                apply(&mut catalog, &statement).unwrap();
            }
            catalog.relations.get_mut(&crate::catalog::Name::new("public", "a")).unwrap().owner = owner.to_owned();
            let asked = super::ask::Asked::new(&catalog, &[]);
            asked.finds("SELECT FROM information_schema.tables WHERE table_name = 'a'")
        };
        assert_eq!((ask("me"), ask("another")), (Some(true), None));
    }

    #[test]
    fn code_is_followed_as_it_runs() {
        let added = planned("ALTER TABLE a ADD COLUMN c int");
        for text in [
            "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_class WHERE relname = 'z') THEN DROP TABLE a; \
             ELSIF to_regclass('a') IS NOT NULL THEN ALTER TABLE a ADD COLUMN c int; ELSE DROP TABLE a; END IF; END $$",
            "DO $$ BEGIN PERFORM 1 FROM pg_class WHERE relname = 'z'; IF NOT FOUND THEN ALTER TABLE a ADD COLUMN c int; \
             END IF; END $$",
            "DO $$ BEGIN IF to_regclass('z') IS NULL THEN EXECUTE 'ALTER TABLE a ADD ' || 'COLUMN c int'; END IF; END $$",
            "DO $$ BEGIN ALTER TABLE a ADD COLUMN c int; IF to_regclass('z') IS NULL THEN RETURN; END IF; DROP TABLE a; \
             END $$",
            "DO $$ BEGIN BEGIN DROP TABLE z; EXCEPTION WHEN undefined_table THEN RAISE NOTICE 'no %', SQLERRM; END; \
             ALTER TABLE a ADD COLUMN c int; END $$",
            "DO $$ BEGIN ALTER TABLE a ADD COLUMN c int; EXCEPTION WHEN SQLSTATE '42701' OR OTHERS THEN \
             RAISE WARNING 'there'; END $$",
            "DO $$ BEGIN ALTER TABLE a ADD COLUMN b int; EXCEPTION WHEN OTHERS THEN ALTER TABLE a ADD COLUMN c int; END $$",
            "DO $$ BEGIN BEGIN ALTER TABLE a ADD COLUMN b int; EXCEPTION WHEN OTHERS THEN RAISE; END; EXCEPTION \
             WHEN duplicate_column THEN ALTER TABLE a ADD COLUMN c int; END $$",
        ] {
            let plan = planned(text);
            let actions = |plan: &Plan| plan.steps.iter().map(|step| step.action.clone()).collect::<Vec<_>>();
            assert_eq!(actions(&plan), actions(&added), "{text}");
            assert_eq!(plan.summary.rollback, RollbackClass::Lossless);
        }
        // What is made within the block answers what is asked later.
        let twice = "IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'a' AND column_name = 'c') \
                     THEN ALTER TABLE a ADD COLUMN c int; END IF;";
        let plan = planned(&format!("DO $$ BEGIN {twice} {twice} END $$; DO $$ BEGIN {twice} END $$"));
        assert_eq!(plan.steps.len(), 1);
        let rows = "DO $$ BEGIN IF to_regclass('z') IS NULL THEN ALTER TABLE a ADD COLUMN c int; UPDATE a SET c = b; END IF; END $$";
        assert_eq!(planned(rows).summary.rollback, RollbackClass::Lossless);
    }

    #[test]
    fn all_that_the_catalog_holds_can_be_followed() {
        for statement in [
            "CREATE PUBLICATION p FOR TABLE a",
            "ALTER TABLE a REPLICA IDENTITY FULL",
            "CREATE STATISTICS s ON id, b FROM a",
            "CREATE TYPE r AS RANGE (subtype = int4)",
            "CREATE RULE r AS ON DELETE TO a DO ALSO NOTHING",
        ] {
            let text = format!(
                "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_publication WHERE pubname = 'p') THEN EXECUTE '{statement}'; \
                 END IF; END $$"
            );
            let (plan, bare) = (planned(&text), planned(statement));
            let actions = |plan: &Plan| plan.steps.iter().map(|step| step.action.clone()).collect::<Vec<_>>();
            assert_eq!(actions(&plan), actions(&bare), "{statement}");
        }
    }

    #[test]
    fn a_handler_that_gives_the_error_on_is_none() {
        let text = "DO $$ BEGIN BEGIN CREATE INDEX i ON a (b); EXCEPTION WHEN duplicate_table THEN NULL; WHEN OTHERS THEN RAISE; \
                    END; END $$";
        let (plan, bare) = (planned(text), planned("CREATE INDEX i ON a (b)"));
        let actions = |plan: &Plan| plan.steps.iter().map(|step| step.action.clone()).collect::<Vec<_>>();
        assert_eq!(actions(&plan), actions(&bare));
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
            "DO $$ BEGIN IF (SELECT count(*) FROM a) > 0 THEN CREATE INDEX i ON a (b); END IF; END $$",
            "DO $$ BEGIN IF now() > '2020-01-01' THEN CREATE INDEX i ON a (b); END IF; END $$",
            "DO $$ BEGIN EXECUTE 'CREATE INDEX i ON ' || (SELECT min(b) FROM a); END $$",
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
