//! Plans written by hand: the executor is tested without the planner.

use wesley::plan::*;

pub fn step(id: &str, stage: Stage, action: Action) -> Step {
    Step {
        id: id.into(),
        stage,
        origin: Origin { statement: 0, start: 0, end: 0 },
        pattern: "as-written".into(),
        description: id.into(),
        action,
        locks: Vec::new(),
        rewrites: Vec::new(),
        scans: Vec::new(),
        waits_for_transactions: Vec::new(),
        estimate: Estimate::default(),
        postcondition: Postcondition::Recorded(Empty {}),
        undo: Undo::Nothing(Empty {}),
    }
}

pub trait With: Sized {
    fn locks(self, locks: &[(&str, LockMode)]) -> Self;
    fn undo(self, action: Action, postcondition: Postcondition) -> Self;
    fn proven(self, postcondition: Postcondition) -> Self;
    fn irreversible(self) -> Self;
    fn lossy(self, action: Action) -> Self;
}

impl With for Step {
    fn locks(mut self, locks: &[(&str, LockMode)]) -> Self {
        self.locks = locks
            .iter()
            .map(|(relation, mode)| StepLock { relation: (*relation).into(), mode: *mode, blocks: (*mode).into() })
            .collect();
        self
    }

    fn undo(mut self, action: Action, postcondition: Postcondition) -> Self {
        self.undo =
            Undo::Lossless(UndoSteps { actions: vec![UndoAction { action, postcondition, locks: Vec::new() }] });
        self
    }

    fn proven(mut self, postcondition: Postcondition) -> Self {
        self.postcondition = postcondition;
        self
    }

    fn irreversible(mut self) -> Self {
        self.undo = Undo::Irreversible(Irreversible { why: "rows are gone".into() });
        self
    }

    fn lossy(mut self, action: Action) -> Self {
        let actions = vec![UndoAction { action, postcondition: recorded(), locks: Vec::new() }];
        self.undo = Undo::Lossy(LossyUndo { actions, lost: "what was in it".into() });
        self
    }
}

pub fn recorded() -> Postcondition {
    Postcondition::Recorded(Empty {})
}

pub fn transaction(statements: &[&str]) -> Action {
    Action::Transaction(Transaction {
        statements: statements.iter().map(|s| (*s).into()).collect(),
        long: false,
        small: None,
        guards: Vec::new(),
    })
}

pub fn long(statement: &str) -> Action {
    Action::Transaction(Transaction { statements: vec![statement.into()], long: true, small: None, guards: Vec::new() })
}

pub fn concurrent(statement: &str) -> Action {
    Action::Concurrent(Concurrent { statement: statement.into(), repair: None })
}

pub fn check(query: &str) -> Action {
    Action::Check(Check { query: query.into(), message: "the check says no".into() })
}

pub fn backfill(table: &str, key: &[&str], set: (&str, &str), filter: Option<&str>) -> Action {
    Action::Backfill(Backfill {
        schema: "public".into(),
        table: table.into(),
        key: key.iter().map(|k| (*k).into()).collect(),
        assignments: vec![Assignment { column: set.0.into(), expression: set.1.into() }],
        filter: filter.map(Into::into),
        idempotent: filter.is_some(),
    })
}

fn probe(table: &str, index: &str, definition: &str) -> IndexProbe {
    IndexProbe { schema: "public".into(), index: index.into(), table: table.into(), definition: definition.into() }
}

pub fn valid(table: &str, index: &str, definition: &str) -> Postcondition {
    Postcondition::IndexValid(probe(table, index, definition))
}

pub fn absent(table: &str, index: &str) -> Postcondition {
    Postcondition::IndexAbsent(probe(table, index, ""))
}

/// `source` stands for the author's SQL.
pub fn plan(source: &str, steps: Vec<Step>) -> Plan {
    Plan {
        digest: format!("sha256:plan-{source}"),
        source_digest: format!("sha256:{source}"),
        target: TargetIdentity::default(),
        catalog_fingerprint: String::new(),
        summary: Summary::default(),
        steps,
        hazards: Vec::new(),
        notes: Vec::new(),
    }
}

/// A shop with `rows` orders.
pub fn shop(rows: u32) -> String {
    format!(
        "CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
         CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, amount integer NOT NULL, note text);
         INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 50) g;
         INSERT INTO orders SELECT g, 1 + g % 50, g, CASE WHEN g % 3 = 0 THEN 'n' || g END
             FROM generate_series(1, {rows}) g;"
    )
}

/// Every kind of action, each with its undo.
pub fn everything() -> Plan {
    use LockMode::{AccessExclusive, ShareRowExclusive, ShareUpdateExclusive};
    let column = transaction(&["ALTER TABLE orders ADD COLUMN total integer"]);
    let unique = "CREATE UNIQUE INDEX orders_total ON public.orders USING btree (total)";
    plan(
        "everything",
        vec![
            step("001-check", Stage::Expand, check("SELECT count(*) > 0 FROM customers")),
            step("002-column", Stage::Expand, column)
                .locks(&[("public.orders", AccessExclusive)])
                .undo(transaction(&["ALTER TABLE orders DROP COLUMN total"]), recorded()),
            step(
                "003-fill",
                Stage::Backfill,
                backfill("orders", &["id"], ("total", "amount * 2"), Some("total IS NULL")),
            ),
            step(
                "004-index",
                Stage::Validate,
                concurrent("CREATE UNIQUE INDEX CONCURRENTLY orders_total ON orders (total)"),
            )
            .locks(&[("public.orders", ShareUpdateExclusive)])
            .proven(valid("orders", "orders_total", unique))
            .undo(concurrent("DROP INDEX CONCURRENTLY orders_total"), absent("orders", "orders_total")),
            step(
                "005-constraint",
                Stage::Switch,
                transaction(&[
                    "ALTER TABLE orders ADD CONSTRAINT total_given CHECK (total IS NOT NULL) NOT VALID",
                    "ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) \
                     REFERENCES customers NOT VALID",
                ]),
            )
            .locks(&[("public.orders", AccessExclusive), ("public.customers", ShareRowExclusive)])
            .undo(
                transaction(&[
                    "ALTER TABLE orders DROP CONSTRAINT orders_customer",
                    "ALTER TABLE orders DROP CONSTRAINT total_given",
                ]),
                recorded(),
            ),
            step("006-validate", Stage::Validate, long("ALTER TABLE orders VALIDATE CONSTRAINT total_given"))
                .locks(&[("public.orders", ShareUpdateExclusive)]),
            step("007-drop", Stage::Contract, transaction(&["ALTER TABLE orders RENAME COLUMN note TO remark"]))
                .locks(&[("public.orders", AccessExclusive)])
                .undo(transaction(&["ALTER TABLE orders RENAME COLUMN remark TO note"]), recorded()),
        ],
    )
}
