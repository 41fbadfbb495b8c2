//! Changes with the schema they are made to.

use std::ops::RangeInclusive;

/// One change.
pub struct Case {
    pub name: &'static str,
    pub setup: &'static str,
    pub change: &'static str,
    /// What the plan has to end like, where the server refuses the change itself.
    pub like: Option<&'static str>,
    /// Relations that have to be there after every step.
    pub never_missed: &'static [&'static str],
    /// Patterns that the plan must use.
    pub patterns: &'static [&'static str],
    pub majors: RangeInclusive<u16>,
    /// Limit for work in place.
    pub in_place_bytes: i64,
    /// Whether the data must be those of the author's SQL (not with random defaults).
    pub same_data: bool,
    pub lossy: bool,
    pub irreversible: bool,
}

const fn case(
    name: &'static str,
    setup: &'static str,
    change: &'static str,
    patterns: &'static [&'static str],
) -> Case {
    Case {
        name,
        setup,
        change,
        like: None,
        never_missed: &[],
        patterns,
        majors: 14..=18,
        in_place_bytes: 0,
        same_data: true,
        lossy: false,
        irreversible: false,
    }
}

impl Case {
    const fn like(mut self, sql: &'static str) -> Self {
        self.like = Some(sql);
        self
    }
    const fn never_missed(mut self, relations: &'static [&'static str]) -> Self {
        self.never_missed = relations;
        self
    }
    const fn majors(mut self, majors: RangeInclusive<u16>) -> Self {
        self.majors = majors;
        self
    }
    const fn own_data(mut self) -> Self {
        self.same_data = false;
        self
    }
    const fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }
    const fn irreversible(mut self) -> Self {
        self.irreversible = true;
        self
    }
    const fn small(mut self) -> Self {
        self.in_place_bytes = 16 << 20;
        self
    }
}

/// A plain table with rows and odd names.
const ODD: &str = r#"
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."Täble with ""quotes"" and a name as long as it may be at all 1" (
  "Id" bigint PRIMARY KEY, "Größe" int, "select" text NOT NULL DEFAULT 'x', plain int);
INSERT INTO "Odd Schema"."Täble with ""quotes"" and a name as long as it may be at all 1"
  SELECT g, g % 7, 'v' || g, g FROM generate_series(1, 200) g;
"#;

const SHOP: &str = "
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, name text,
  created timestamptz NOT NULL DEFAULT '2020-01-01 00:00:00+00');
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, total numeric(10,2) NOT NULL, state varchar(10), note text);
INSERT INTO customers (email, name) SELECT 'c' || g || '@example.org', 'n' || g FROM generate_series(1, 100) g;
INSERT INTO orders SELECT g, 1 + g % 100, g, 'new', NULL FROM generate_series(1, 500) g;
CREATE INDEX orders_customer ON orders (customer_id);
COMMENT ON COLUMN orders.state IS 'it''s a state';
";

const KEYED: &str = "
CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base SELECT generate_series(1, 9);
CREATE TABLE t (id int PRIMARY KEY, state text NOT NULL CHECK (state IN ('a', 'b')), b int NOT NULL REFERENCES base,
  u int NOT NULL UNIQUE, w int NOT NULL);
CREATE UNIQUE INDEX t_w ON t (w);
INSERT INTO t SELECT g, 'a', g, g, g FROM generate_series(1, 9) g;
";

const PARTITIONED: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY);
INSERT INTO customers SELECT generate_series(1, 10);
CREATE TABLE events (id bigint NOT NULL, day int NOT NULL, customer_id bigint, kind text) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY LIST (kind);
CREATE TABLE events_2a PARTITION OF events_2 FOR VALUES IN ('a');
CREATE TABLE events_2b PARTITION OF events_2 DEFAULT;
INSERT INTO events SELECT g, g % 20, 1 + g % 10, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 300) g;
";

/// A partitioned table with all that a partition has to have, and a table that is to become one.
const ATTACH: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY);
INSERT INTO customers SELECT generate_series(1, 10);
CREATE TABLE events (id bigint NOT NULL, day int NOT NULL, customer_id bigint REFERENCES customers, kind text,
  PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE INDEX ON events (lower(kind)) WHERE kind IS NOT NULL;
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT g, g % 20, 1 + g % 10, 'k' FROM generate_series(1, 300) g;
CREATE TABLE later (id bigint NOT NULL, day int NOT NULL, customer_id bigint, kind text);
INSERT INTO later SELECT g, 20 + g % 10, 1 + g % 10, 'k' FROM generate_series(1, 300) g;
";

/// Keys with what refers to them.
const KEYS: &str = "
CREATE TABLE parents (id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY, name text UNIQUE);
CREATE TABLE items (id serial PRIMARY KEY, parent_id int NOT NULL REFERENCES parents ON DELETE CASCADE,
  above int CONSTRAINT up REFERENCES items DEFERRABLE INITIALLY DEFERRED, note text);
CREATE TABLE notes (item_id int REFERENCES items (id) ON UPDATE CASCADE, note text);
CREATE INDEX items_parent ON items (parent_id);
INSERT INTO parents (name) SELECT 'p' || g FROM generate_series(1, 50) g;
INSERT INTO items (parent_id, above, note) SELECT 10 + 5 * (g % 50), nullif(g / 2, 0), 'n' FROM generate_series(1, 300) g;
INSERT INTO notes SELECT g, 'n' FROM generate_series(1, 300) g;
COMMENT ON COLUMN parents.id IS 'the key';
COMMENT ON CONSTRAINT up ON items IS 'the one above';
GRANT SELECT (id), UPDATE (id) ON parents TO PUBLIC;
GRANT USAGE ON SEQUENCE parents_id_seq TO PUBLIC;
";

/// A table with what keeps the server from changing the type of its columns.
const SEEN: &str = r#"
CREATE SCHEMA "Sicht";
CREATE TABLE t (id int PRIMARY KEY, "Größe" int NOT NULL DEFAULT 5, owner text, note text);
INSERT INTO t SELECT g, g, 'postgres', 'n' || g FROM generate_series(1, 300) g;
CREATE INDEX ON t ("Größe");
CREATE TABLE log (n bigint, what text);
CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, TG_NAME); RETURN NEW; END $$;
CREATE VIEW plain AS SELECT id, "Größe" FROM t WHERE "Größe" > 3;
CREATE VIEW "Sicht"."Über" WITH (security_barrier) AS SELECT "Größe" AS "Wie groß", count(*) AS n FROM plain GROUP BY 1;
CREATE VIEW checked AS SELECT id, "Größe" AS g, note FROM t WHERE "Größe" < 1000 WITH LOCAL CHECK OPTION;
ALTER VIEW checked ALTER COLUMN note SET DEFAULT 'none';
CREATE VIEW joined AS SELECT a."Größe" + b.g AS sum, a.note FROM t a JOIN checked b ON a.id = b.id;
CREATE VIEW unaware AS SELECT id, owner FROM t;
GRANT SELECT, UPDATE ON plain TO pg_monitor WITH GRANT OPTION;
GRANT SELECT ("Wie groß") ON "Sicht"."Über" TO PUBLIC;
GRANT SELECT ON joined TO pg_read_all_data;
ALTER VIEW joined OWNER TO pg_read_all_data;
COMMENT ON VIEW plain IS 'it''s plain';
COMMENT ON COLUMN "Sicht"."Über"."Wie groß" IS 'wie';
CREATE TRIGGER "Statt" INSTEAD OF INSERT OR UPDATE ON "Sicht"."Über" FOR EACH ROW EXECUTE FUNCTION logs();
COMMENT ON TRIGGER "Statt" ON "Sicht"."Über" IS 'instead';
CREATE RULE noted AS ON DELETE TO joined DO INSTEAD INSERT INTO log SELECT old.sum, 'gone';
CREATE RULE back AS ON UPDATE TO log DO ALSO UPDATE t SET note = 'x' WHERE t."Größe" = new.n;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY "nur große" ON t AS RESTRICTIVE FOR SELECT TO pg_monitor, pg_read_all_stats
  USING ("Größe" > 1 AND owner = current_user);
COMMENT ON POLICY "nur große" ON t IS 'policed';
CREATE POLICY others ON log USING (EXISTS (SELECT FROM t WHERE t."Größe" = log.n)) WITH CHECK (n > 0);
CREATE TRIGGER changed BEFORE UPDATE OF "Größe" ON t FOR EACH ROW
  WHEN (old."Größe" IS DISTINCT FROM new."Größe") EXECUTE FUNCTION logs();
ALTER TABLE t ENABLE ALWAYS TRIGGER changed;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF "Größe" ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION logs();
"#;

/// What its author would have to write.
const SEEN_CHANGED: &str = r#"
DROP RULE back ON log; DROP POLICY "nur große" ON t; DROP POLICY others ON log; DROP TRIGGER changed ON t; DROP TRIGGER later ON t;
DROP VIEW joined, checked, "Sicht"."Über", plain;
ALTER TABLE t ALTER "Größe" TYPE bigint;
CREATE VIEW plain AS SELECT id, "Größe" FROM t WHERE "Größe" > 3;
CREATE VIEW "Sicht"."Über" WITH (security_barrier) AS SELECT "Größe" AS "Wie groß", count(*) AS n FROM plain GROUP BY 1;
CREATE VIEW checked AS SELECT id, "Größe" AS g, note FROM t WHERE "Größe" < 1000 WITH LOCAL CHECK OPTION;
ALTER VIEW checked ALTER COLUMN note SET DEFAULT 'none';
CREATE VIEW joined AS SELECT a."Größe" + b.g AS sum, a.note FROM t a JOIN checked b ON a.id = b.id;
GRANT SELECT, UPDATE ON plain TO pg_monitor WITH GRANT OPTION;
GRANT SELECT ("Wie groß") ON "Sicht"."Über" TO PUBLIC;
ALTER VIEW joined OWNER TO pg_read_all_data;
COMMENT ON VIEW plain IS 'it''s plain';
COMMENT ON COLUMN "Sicht"."Über"."Wie groß" IS 'wie';
CREATE TRIGGER "Statt" INSTEAD OF INSERT OR UPDATE ON "Sicht"."Über" FOR EACH ROW EXECUTE FUNCTION logs();
COMMENT ON TRIGGER "Statt" ON "Sicht"."Über" IS 'instead';
CREATE RULE noted AS ON DELETE TO joined DO INSTEAD INSERT INTO log SELECT old.sum, 'gone';
CREATE RULE back AS ON UPDATE TO log DO ALSO UPDATE t SET note = 'x' WHERE t."Größe" = new.n;
CREATE POLICY "nur große" ON t AS RESTRICTIVE FOR SELECT TO pg_monitor, pg_read_all_stats
  USING ("Größe" > 1 AND owner = current_user);
COMMENT ON POLICY "nur große" ON t IS 'policed';
CREATE POLICY others ON log USING (EXISTS (SELECT FROM t WHERE t."Größe" = log.n)) WITH CHECK (n > 0);
CREATE TRIGGER changed BEFORE UPDATE OF "Größe" ON t FOR EACH ROW
  WHEN (old."Größe" IS DISTINCT FROM new."Größe") EXECUTE FUNCTION logs();
ALTER TABLE t ENABLE ALWAYS TRIGGER changed;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF "Größe" ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION logs();
"#;

const SEEN_VIEWS: &[&str] = &["plain", "\"Sicht\".\"Über\"", "checked", "joined", "unaware"];

/// A partitioned table with much of what a column can have in it.
const PARTED: &str = "
CREATE TABLE events (id bigint NOT NULL, day int NOT NULL, kind text, amount int NOT NULL DEFAULT 5) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY LIST (kind);
CREATE TABLE events_2a PARTITION OF events_2 FOR VALUES IN ('a');
CREATE TABLE events_2b PARTITION OF events_2 DEFAULT;
INSERT INTO events SELECT g, g % 20, CASE WHEN g % 4 < 2 THEN 'a' ELSE 'b' END, g FROM generate_series(1, 300) g;
ALTER TABLE events_1 ALTER amount SET DEFAULT 7;
ALTER TABLE events ADD CONSTRAINT few CHECK (amount < 1000);
ALTER TABLE events_2a ADD CONSTRAINT own CHECK (amount > 0);
CREATE INDEX by_amount ON events (amount DESC, id);
CREATE INDEX own_index ON events_1 (amount) WHERE id > 5;
CREATE INDEX below ON events_2 (kind, amount);
COMMENT ON COLUMN events.amount IS 'all';
COMMENT ON COLUMN events_2b.amount IS 'one';
ALTER TABLE events_1 ALTER amount SET STATISTICS 55;
GRANT SELECT (amount) ON events TO PUBLIC;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER seen AFTER UPDATE OF amount ON events FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE VIEW v AS SELECT kind, sum(amount) AS sum FROM events GROUP BY 1;
CREATE VIEW part AS SELECT amount FROM events_1;
";

/// Everything that a column can have.
const DEPENDENTS: &str = "
CREATE TABLE t (id int PRIMARY KEY, c int NOT NULL DEFAULT 5, d text, CONSTRAINT c_positive CHECK (c > 0 AND d <> 'x'));
INSERT INTO t SELECT g, g, 'v' || g FROM generate_series(1, 300) g;
ALTER TABLE t ADD CONSTRAINT c_small CHECK (c < 1000) NOT VALID;
ALTER TABLE t ADD CONSTRAINT c_once UNIQUE (c, d) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE t ADD CONSTRAINT c_unique UNIQUE (c) INCLUDE (d) WITH (fillfactor = 70);
CREATE INDEX \"C odd\" ON t USING btree (d text_pattern_ops, c DESC NULLS LAST) INCLUDE (id) WITH (fillfactor = 60) WHERE c > 3;
CREATE INDEX c_twice ON t ((c * 2), lower(d));
CREATE INDEX c_hash ON t USING hash (c);
CREATE INDEX c_brin ON t USING brin (c) WITH (pages_per_range = 4);
ALTER INDEX c_twice ALTER COLUMN 1 SET STATISTICS 77;
ALTER TABLE t CLUSTER ON c_twice;
ALTER TABLE t REPLICA IDENTITY USING INDEX c_unique;
ALTER TABLE t ALTER c SET STATISTICS 33, ALTER c SET (n_distinct = 5);
CREATE STATISTICS c_st (ndistinct) ON c, d FROM t;
COMMENT ON COLUMN t.c IS 'said';
COMMENT ON INDEX c_hash IS 'indexed';
COMMENT ON CONSTRAINT c_positive ON t IS 'checked';
GRANT SELECT (c) ON t TO PUBLIC;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.c < 0 THEN NEW.d := NULL; END IF; RETURN NEW; END';
CREATE TRIGGER zzz_audit BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION audit();
CREATE PUBLICATION p FOR TABLE t;
CREATE TABLE r (c int REFERENCES t (c));
INSERT INTO r SELECT generate_series(1, 300);
";

pub const CASES: &[Case] = &[
    // Columns
    case("col_nullable", SHOP, "ALTER TABLE orders ADD COLUMN x int", &["as-written"]),
    case("col_instant", SHOP, "ALTER TABLE orders ADD COLUMN x int NOT NULL DEFAULT 5", &["as-written"]),
    case(
        "col_volatile",
        SHOP,
        "ALTER TABLE orders ADD COLUMN x uuid DEFAULT gen_random_uuid() NOT NULL",
        &["add-column", "not-null"],
    )
    .own_data(),
    case("col_serial", SHOP, "ALTER TABLE orders ADD COLUMN n serial", &["add-column"]).own_data(),
    case("col_identity", SHOP, "ALTER TABLE orders ADD COLUMN n bigint GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 5)", &["add-column"])
        .own_data(),
    case(
        "col_everything",
        SHOP,
        "ALTER TABLE orders ADD COLUMN x bigint DEFAULT (random() * 1e15)::bigint NOT NULL CHECK (x >= 0) UNIQUE",
        &["add-column", "check", "unique", "not-null"],
    )
    .own_data(),
    case(
        "col_reference",
        SHOP,
        "ALTER TABLE orders ADD COLUMN c bigint REFERENCES customers ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED",
        &["add-column", "foreign-key"],
    ),
    case("col_collate", SHOP, r#"ALTER TABLE orders ADD COLUMN x text COLLATE "C" DEFAULT random()::text"#, &["add-column"])
        .own_data(),
    case("col_stored", SHOP, "ALTER TABLE orders ADD COLUMN x numeric GENERATED ALWAYS AS (total * 2) STORED", &["as-written"]),
    case("col_odd", ODD, r#"ALTER TABLE "Odd Schema"."Täble with ""quotes"" and a name as long as it may be at all 1"
        ADD COLUMN "New Ünïcode" int DEFAULT (random() * 10)::int NOT NULL CHECK ("New Ünïcode" >= 0)"#, &["add-column", "check"])
        .own_data(),
    case("col_partitioned", PARTITIONED, "ALTER TABLE events ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid()", &["add-column"])
        .own_data(),
    // Indexes
    case("idx_plain", SHOP, "CREATE INDEX ON orders (state, total DESC) INCLUDE (note) WHERE total > 3", &["index"]),
    case("idx_named", SHOP, "CREATE UNIQUE INDEX \"Orders Note\" ON orders (lower(note))", &["index"]),
    case("idx_odd", ODD, r#"CREATE INDEX ON "Odd Schema"."Täble with ""quotes"" and a name as long as it may be at all 1" ("Größe", "select")"#, &["index"]),
    case("idx_partitioned", PARTITIONED, "CREATE INDEX ON events (customer_id)", &["index"]),
    case("idx_adopts", PARTITIONED, "CREATE INDEX a_part ON events_1 (customer_id); CREATE INDEX whole ON events (customer_id)", &["index"]),
    case("idx_drop", SHOP, "DROP INDEX orders_customer", &["drop-index"]),
    case("idx_small", SHOP, "CREATE INDEX ON orders (state)", &["as-written"]).small(),
    case("idx_cic", SHOP, "CREATE INDEX CONCURRENTLY ON orders (state)", &["as-written"]),
    // Constraints
    case("con_unique", SHOP, "ALTER TABLE customers ADD UNIQUE (email)", &["unique"]),
    case(
        "con_unique_options",
        SHOP,
        "ALTER TABLE customers ADD CONSTRAINT u UNIQUE (email) INCLUDE (name) WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED",
        &["unique"],
    ),
    case("con_primary", "CREATE TABLE t (a int, b int NOT NULL, c text); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g",
        "ALTER TABLE t ADD PRIMARY KEY (a, b)", &["unique", "not-null"]),
    case("con_unique_partitioned", PARTITIONED, "ALTER TABLE events ADD UNIQUE (id, day, kind)", &["unique"]),
    case("con_primary_partitioned", PARTITIONED, "ALTER TABLE events ADD PRIMARY KEY (id, day, kind)", &["unique", "not-null"]),
    case("con_fk", SHOP, "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE", &["foreign-key"]),
    case("con_fk_partitioned", PARTITIONED, "ALTER TABLE events ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customers (id)", &["foreign-key"]),
    case("con_fk_self", SHOP, "ALTER TABLE orders ADD COLUMN parent bigint; ALTER TABLE orders ADD FOREIGN KEY (parent) REFERENCES orders", &["foreign-key"]),
    case("con_check", SHOP, "ALTER TABLE orders ADD CHECK (total > 0 AND state <> 'bad')", &["check"]),
    case("con_check_partitioned", PARTITIONED, "ALTER TABLE events ADD CHECK (id > 0)", &["check"]),
    case("con_not_null", SHOP, "ALTER TABLE orders ALTER COLUMN state SET NOT NULL", &["not-null"]),
    case("con_not_null_partitioned", PARTITIONED, "ALTER TABLE events ALTER customer_id SET NOT NULL", &["not-null"]),
    case("con_not_null_named", SHOP, "ALTER TABLE orders ADD CONSTRAINT nn NOT NULL state", &["not-null"]).majors(18..=18),
    case("con_not_null_odd", ODD, r#"ALTER TABLE "Odd Schema"."Täble with ""quotes"" and a name as long as it may be at all 1" ALTER "Größe" SET NOT NULL"#, &["not-null"]),
    case("con_small", SHOP, "ALTER TABLE orders ADD CHECK (total > 0), ALTER state SET NOT NULL", &["as-written"]).small(),
    case(
        "con_drop",
        "CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE, CONSTRAINT c CHECK (u > 0)); COMMENT ON CONSTRAINT c ON p IS 'why';
         CREATE TABLE q (p int CONSTRAINT f REFERENCES p ON DELETE CASCADE, x int NOT NULL DEFAULT 3);
         INSERT INTO p SELECT g, g FROM generate_series(1, 50) g; INSERT INTO q SELECT g FROM generate_series(1, 50) g",
        "ALTER TABLE q DROP CONSTRAINT f; ALTER TABLE p DROP CONSTRAINT c, DROP CONSTRAINT p_u_key, DROP CONSTRAINT p_pkey;
         ALTER TABLE q ALTER x DROP NOT NULL, ALTER x DROP DEFAULT",
        &["as-written"],
    ),
    // Splitting
    case(
        "split",
        SHOP,
        "ALTER TABLE orders ADD CONSTRAINT pos CHECK (n > 0), ADD COLUMN n int DEFAULT 1, ALTER state SET NOT NULL, \
         ADD FOREIGN KEY (customer_id) REFERENCES customers, ALTER note SET DEFAULT 'none'",
        &["check", "foreign-key", "not-null", "as-written"],
    ),
    // Drops
    case("drop_column", SHOP, "ALTER TABLE orders DROP COLUMN state; ALTER TABLE orders ADD COLUMN y int", &["drop"]).lossy(),
    case("drop_table", SHOP, "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customers; DROP TABLE orders; CREATE TABLE z (a int)", &["drop"])
        .lossy(),
    case("drop_and_again", SHOP, "DROP TABLE orders; CREATE TABLE orders (a int)", &["drop"]).lossy(),
    // Types
    case("type_in_place", SHOP, "ALTER TABLE orders ALTER state TYPE varchar(20)", &["as-written"]),
    case(
        "type_with_check",
        "CREATE TABLE t (a varchar(5), CONSTRAINT c CHECK (a <> 'x')); INSERT INTO t SELECT 'y' FROM generate_series(1, 100);
         COMMENT ON CONSTRAINT c ON t IS 'said'",
        "ALTER TABLE t ALTER a TYPE varchar(10)",
        &["column-type"],
    ),
    case("type_plain", SHOP, "ALTER TABLE orders ALTER note TYPE varchar(9)", &["shadow-column"]).lossy(),
    case("type_primary", SHOP, "ALTER TABLE orders ALTER id TYPE numeric", &["shadow-column"]),
    case("type_key_identity", KEYS, "ALTER TABLE parents ALTER id TYPE bigint", &["shadow-column", "not-null"]),
    case(
        "type_key_serial",
        KEYS,
        "ALTER TABLE items ALTER COLUMN id TYPE bigint; ALTER SEQUENCE items_id_seq AS bigint",
        &["shadow-column", "not-null"],
    ),
    case(
        "type_keys_all",
        KEYS,
        "ALTER TABLE parents ALTER id TYPE bigint; ALTER TABLE items ALTER id TYPE bigint, ALTER parent_id TYPE bigint, \
         ALTER above TYPE bigint; ALTER TABLE notes ALTER item_id TYPE bigint",
        &["shadow-column", "not-null"],
    ),
    case("type_dependents", DEPENDENTS, "ALTER TABLE public.t ALTER c TYPE bigint", &["shadow-column", "not-null"]).lossy(),
    case(
        "type_enum",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (id int PRIMARY KEY, m text, n text NOT NULL);
         INSERT INTO t SELECT g, CASE WHEN g % 3 = 0 THEN 'ok' END, 'sad' FROM generate_series(1, 100) g",
        "ALTER TABLE t ALTER m TYPE mood USING m::mood, ALTER n TYPE mood USING n::text::mood",
        &["shadow-column"],
    ),
    case(
        "type_json",
        "CREATE TABLE t (id int, d text DEFAULT NULL); INSERT INTO t SELECT g, '{\"a\":' || g || '}' FROM generate_series(1, 100) g",
        "ALTER TABLE t ALTER d TYPE jsonb USING d::jsonb",
        &["shadow-column"],
    )
    .lossy(),
    case(
        "type_times",
        "SET timezone = 'UTC'; CREATE TABLE t (id int PRIMARY KEY, a timestamp(3), b timestamp DEFAULT '2020-01-01', c timestamp);
         INSERT INTO t SELECT g, '2020-01-01'::timestamp + g * interval '1 hour', '2020-01-01', '2021-01-01' FROM generate_series(1, 100) g;
         CREATE INDEX ON t (a DESC NULLS LAST, b)",
        "ALTER TABLE t ALTER a TYPE timestamptz(3); ALTER TABLE t ALTER b TYPE timestamptz USING b AT TIME ZONE 'Europe/Berlin'; \
         ALTER TABLE t ALTER c TYPE date",
        &["shadow-column"],
    )
    .lossy(),
    case(
        "type_text",
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 7, u uuid); INSERT INTO t SELECT g, g, md5(g::text)::uuid FROM generate_series(1, 100) g;
         CREATE INDEX ON t (n); CREATE STATISTICS st (dependencies) ON id, n FROM t",
        "ALTER TABLE t ALTER n TYPE text",
        &["shadow-column"],
    ),
    case(
        "type_using",
        "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, \"Price\" text, factor int NOT NULL DEFAULT 2);
         CREATE FUNCTION app.clean(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT replace($1, ',', '.') $$;
         INSERT INTO app.t SELECT g, g || ',5' FROM generate_series(1, 100) g",
        "ALTER TABLE app.t ALTER \"Price\" TYPE numeric(12,3) USING app.clean(\"Price\")::numeric * factor",
        &["shadow-column"],
    )
    .lossy()
    .irreversible(),
    case("type_small", KEYS, "ALTER TABLE parents ALTER id TYPE bigint", &["as-written"]).lossy().small(),
    case("type_seen", SEEN, "ALTER TABLE t ALTER \"Größe\" TYPE bigint", &["shadow-column"])
        .like(SEEN_CHANGED)
        .never_missed(SEEN_VIEWS),
    case("type_seen_small", SEEN, "ALTER TABLE t ALTER \"Größe\" TYPE bigint", &["as-written"])
        .like(SEEN_CHANGED)
        .never_missed(SEEN_VIEWS)
        .lossy()
        .small(),
    case(
        "type_seen_in_place",
        "CREATE TABLE t (id int, s varchar(5) CHECK (s <> 'bad')); INSERT INTO t VALUES (1, 'a');
         CREATE VIEW v AS SELECT s, s = 'x' AS x FROM t WHERE s LIKE 'a%';
         CREATE VIEW w AS SELECT lower(s) AS low FROM v; GRANT SELECT ON w TO PUBLIC",
        "ALTER TABLE t ALTER s TYPE text",
        &["column-type"],
    )
    .like(
        "DROP VIEW w, v; ALTER TABLE t ALTER s TYPE text;
         CREATE VIEW v AS SELECT s, s = 'x' AS x FROM t WHERE s LIKE 'a%';
         CREATE VIEW w AS SELECT lower(s) AS low FROM v; GRANT SELECT ON w TO PUBLIC",
    )
    .never_missed(&["v", "w"]),
    case(
        "type_seen_twice",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(9)); INSERT INTO t SELECT g, g, g FROM generate_series(1, 100) g;
         CREATE VIEW v AS SELECT a + 1 AS a, b || 'x' AS b FROM t",
        "ALTER TABLE t ALTER a TYPE bigint, ALTER b TYPE text, ADD COLUMN c int; ALTER TABLE t ALTER id TYPE bigint",
        &["shadow-column"],
    )
    .like(
        "DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint, ALTER b TYPE text, ADD COLUMN c int;
         ALTER TABLE t ALTER id TYPE bigint; CREATE VIEW v AS SELECT a + 1 AS a, b || 'x' AS b FROM t",
    )
    .never_missed(&["v"]),
    case(
        "type_seen_materialized",
        "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 100) g;
         CREATE MATERIALIZED VIEW m WITH (fillfactor = 70) AS SELECT a, count(*) AS n FROM t GROUP BY a;
         CREATE UNIQUE INDEX once ON m (a); CREATE VIEW v AS SELECT a FROM m; GRANT SELECT ON m TO PUBLIC;
         COMMENT ON COLUMN m.n IS 'how many'; ALTER MATERIALIZED VIEW m ALTER COLUMN a SET STATISTICS 55",
        "ALTER TABLE t ALTER a TYPE bigint",
        &["as-written"],
    )
    .like(
        "DROP VIEW v; DROP MATERIALIZED VIEW m; ALTER TABLE t ALTER a TYPE bigint;
         CREATE MATERIALIZED VIEW m WITH (fillfactor = 70) AS SELECT a, count(*) AS n FROM t GROUP BY a;
         CREATE UNIQUE INDEX once ON m (a); CREATE VIEW v AS SELECT a FROM m; GRANT SELECT ON m TO PUBLIC;
         COMMENT ON COLUMN m.n IS 'how many'; ALTER MATERIALIZED VIEW m ALTER COLUMN a SET STATISTICS 55",
    )
    .lossy()
    .small(),
    case(
        "type_seen_invoker",
        "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
         CREATE VIEW v WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM t;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor; GRANT SELECT ON v TO PUBLIC; CREATE VIEW w AS TABLE v",
        "ALTER TABLE t ALTER a TYPE bigint",
        &["shadow-column"],
    )
    .like(
        "DROP VIEW w, v; ALTER TABLE t ALTER a TYPE bigint;
         CREATE VIEW v WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM t;
         REVOKE ALL ON v FROM pg_monitor; GRANT SELECT ON v TO PUBLIC; CREATE VIEW w AS TABLE v",
    )
    .majors(15..=18)
    .never_missed(&["v", "w"]),
    case(
        "type_beside",
        SEEN,
        "DROP TRIGGER changed ON t; DROP TRIGGER later ON t; DROP POLICY \"nur große\" ON t; DROP POLICY others ON log;
         DROP RULE back ON log; DROP VIEW joined; DROP VIEW plain CASCADE; DROP VIEW IF EXISTS checked;
         ALTER TABLE t ALTER \"Größe\" TYPE bigint;
         CREATE VIEW plain AS SELECT id, \"Größe\" / 2 AS half FROM t; GRANT SELECT ON plain TO PUBLIC;
         COMMENT ON VIEW plain IS 'another'; CREATE VIEW checked AS SELECT half FROM plain;
         CREATE POLICY small ON t USING (\"Größe\" < 50)",
        &["shadow-column"],
    )
    .never_missed(&["plain", "checked", "unaware"]),
    case(
        "type_beside_twice",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t SELECT g, g, g FROM generate_series(1, 100) g;
         CREATE VIEW v AS SELECT a, b FROM t WHERE a = b",
        "DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t ALTER b TYPE bigint, ALTER id TYPE bigint;
         CREATE OR REPLACE VIEW v AS SELECT a, b, a + b AS sum FROM t",
        &["shadow-column"],
    )
    .never_missed(&["v"]),
    case(
        "type_beside_small",
        "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
         CREATE VIEW v AS SELECT a FROM t",
        "BEGIN; DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; CREATE VIEW v AS SELECT a, 1 AS one FROM t; COMMIT",
        &["as-written"],
    )
    .lossy()
    .small()
    .never_missed(&["v"]),
    case("type_exclusion",
        "CREATE TABLE t (c int, r int4range, EXCLUDE USING gist (r WITH &&), CONSTRAINT x EXCLUDE USING btree (c WITH =)); INSERT INTO t SELECT g, NULL FROM generate_series(1, 100) g",
        "ALTER TABLE t ALTER c TYPE bigint", &["as-written"]).lossy(),
    case("type_partitioned", PARTITIONED, "ALTER TABLE events ALTER id TYPE numeric", &["shadow-column"]),
    case("type_partitioned_all", PARTED, "ALTER TABLE events ALTER amount TYPE bigint", &["shadow-column", "index", "not-null"])
        .like(
            "DROP VIEW v, part; DROP TRIGGER seen ON events; ALTER TABLE events ALTER amount TYPE bigint;
             CREATE VIEW v AS SELECT kind, sum(amount) AS sum FROM events GROUP BY 1;
             CREATE VIEW part AS SELECT amount FROM events_1;
             CREATE TRIGGER seen AFTER UPDATE OF amount ON events FOR EACH ROW EXECUTE FUNCTION nothing()",
        )
        .never_missed(&["v", "part", "by_amount", "own_index"]),
    case(
        "type_partitioned_key",
        "CREATE TABLE events (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
         CREATE TABLE events_1 PARTITION OF events DEFAULT; INSERT INTO events SELECT g, g FROM generate_series(1, 100) g",
        "ALTER TABLE events ALTER id TYPE bigint",
        &["as-written"],
    )
    .lossy(),
    // Data
    case("data_update", SHOP, "UPDATE orders SET note = 'n' || id WHERE note IS NULL", &["data"]).lossy(),
    case("data_new_column", SHOP, "ALTER TABLE orders ADD COLUMN x int; UPDATE orders SET x = id % 10", &["data"]),
    case("data_partitioned", PARTITIONED, "UPDATE events SET customer_id = 1 WHERE customer_id > 5", &["data"]).lossy(),
    case("data_one_row", SHOP, "UPDATE orders SET note = 'x' WHERE id = 5", &["as-written"]).lossy(),
    case("data_delete", SHOP, "DELETE FROM orders", &["as-written"]).lossy(),
    // Enums
    case(
        "enum_value_of_small_tables",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); COMMENT ON TYPE mood IS 'how'; REVOKE ALL ON TYPE mood FROM PUBLIC;
         CREATE TABLE t (id int PRIMARY KEY, m mood NOT NULL DEFAULT 'ok', s mood[]); CREATE INDEX t_m ON t (m);
         INSERT INTO t SELECT g, 'sad', '{ok,sad}' FROM generate_series(1, 50) g;
         CREATE TABLE p (id int, m mood) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        "ALTER TYPE mood ADD VALUE 'happy' BEFORE 'ok'; ALTER TYPE mood ADD VALUE 'glad'",
        &["enum-value"],
    )
    .small(),
    case(
        "enum_value_in_the_way",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (m mood); CREATE VIEW v AS SELECT m FROM t",
        "ALTER TYPE mood ADD VALUE 'happy'",
        &["enum-value"],
    )
    .irreversible(),
    case("enum_value", "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (m mood)",
        "ALTER TYPE mood ADD VALUE 'happy'; INSERT INTO t VALUES ('happy')", &["enum-value"]).irreversible().lossy(),
    case("enum_rename", "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (m mood)",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", &["as-written"]),
    // Everything else
    case(
        "new_schema",
        "",
        "BEGIN; CREATE SCHEMA app; SET search_path = app; SET lock_timeout = '1s'; CREATE TABLE a (id int PRIMARY KEY, t text);
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); CREATE INDEX ON b (a); INSERT INTO a VALUES (1, 'x');
         CREATE VIEW v AS SELECT * FROM a; COMMENT ON TABLE a IS 'said'; COMMIT",
        &["as-written"],
    ),
    case(
        "attach_range",
        ATTACH,
        "ALTER TABLE events ATTACH PARTITION later FOR VALUES FROM (20) TO (30)",
        &["attach-partition", "unique", "index", "foreign-key"],
    ),
    case(
        "attach_columns",
        "CREATE TABLE p (a int NOT NULL, b text NOT NULL) PARTITION BY RANGE (a, b);
         CREATE TABLE c (b text NOT NULL, a int NOT NULL); INSERT INTO c SELECT 'm', 1 + g % 2 FROM generate_series(1, 200) g",
        "ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM (1, 'a') TO (3, MAXVALUE)",
        &["attach-partition"],
    ),
    case(
        "attach_list",
        r#"CREATE TABLE p (a int, "Kind" text) PARTITION BY LIST ("Kind"); CREATE TABLE rest PARTITION OF p DEFAULT;
         INSERT INTO p SELECT g, 'z' FROM generate_series(1, 100) g;
         CREATE TABLE c (a int, "Kind" text); INSERT INTO c SELECT g, 'it''s' FROM generate_series(1, 200) g; INSERT INTO c (a) VALUES (0)"#,
        "ALTER TABLE p ATTACH PARTITION c FOR VALUES IN ('it''s', NULL)",
        &["attach-partition"],
    ),
    case(
        "attach_hash",
        "CREATE TABLE p (a int PRIMARY KEY) PARTITION BY HASH (a); CREATE TABLE c (a int PRIMARY KEY);
         CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO c SELECT g FROM generate_series(1, 300) g WHERE satisfies_hash_partition('p'::regclass, 2, 0, g)",
        "ALTER TABLE p ATTACH PARTITION c FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        &["attach-partition"],
    ),
    case(
        "attach_small",
        ATTACH,
        "ALTER TABLE events ATTACH PARTITION later FOR VALUES FROM (20) TO (30)",
        &["as-written"],
    )
    .small(),
    case(
        "replace_primary_key",
        SHOP,
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (customer_id, id)",
        &["replace-key", "not-null"],
    ),
    case("replace_unique", "CREATE TABLE t (a int CONSTRAINT k UNIQUE, b int); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g",
        "ALTER TABLE t ADD CONSTRAINT k2 UNIQUE (a, b) INCLUDE (b), DROP CONSTRAINT k", &["replace-key"]),
    case(
        "refresh",
        "CREATE TABLE t (a int); INSERT INTO t SELECT g FROM generate_series(1, 100) g; CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
         CREATE UNIQUE INDEX ON m (a)",
        "REFRESH MATERIALIZED VIEW m",
        &["refresh"],
    ),
    case(
        "rename_table",
        "CREATE TABLE \"Old\" (a int PRIMARY KEY, \"B\" text); INSERT INTO \"Old\" SELECT g FROM generate_series(1, 100) g;
         GRANT SELECT, INSERT ON \"Old\" TO PUBLIC; COMMENT ON TABLE \"Old\" IS 'said'; CREATE VIEW v AS SELECT a FROM \"Old\"",
        "ALTER TABLE \"Old\" RENAME TO \"New\"; CREATE TABLE other (a int)",
        &["rename"],
    ),
    case("rename_and_again", SHOP, "ALTER TABLE orders RENAME TO purchases; CREATE TABLE orders (a int)", &["rename"]),
    case("rename", SHOP, "ALTER TABLE orders RENAME TO purchases; ALTER TABLE purchases RENAME COLUMN note TO remark; \
        ALTER INDEX orders_customer RENAME TO purchases_customer", &["as-written"]),
    case(
        "views",
        "CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT a FROM v; GRANT SELECT ON v TO PUBLIC",
        "CREATE OR REPLACE VIEW v AS SELECT a, b FROM t",
        &["as-written"],
    ),
    case(
        "routines_of_row_types_come",
        "CREATE TABLE t (a int)",
        "CREATE TABLE jobs (id int); CREATE VIEW v AS SELECT id FROM jobs;
         CREATE FUNCTION job(int) RETURNS SETOF jobs LANGUAGE sql AS 'SELECT * FROM jobs WHERE id = $1';
         CREATE VIEW w AS SELECT id FROM job(1); CREATE FUNCTION of_view(v) RETURNS int LANGUAGE sql AS 'SELECT $1.id'",
        &[],
    ),
    case(
        "routines_of_row_types_go",
        "CREATE TABLE jobs (id int); CREATE VIEW v AS SELECT id FROM jobs;
         CREATE FUNCTION job(int) RETURNS SETOF jobs LANGUAGE sql AS 'SELECT * FROM jobs WHERE id = $1';
         CREATE VIEW w AS SELECT id FROM job(1); CREATE FUNCTION of_view(v) RETURNS int LANGUAGE sql AS 'SELECT $1.id'",
        "DROP TABLE jobs CASCADE",
        &["drop"],
    ),
    case(
        "routines",
        "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';
         CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin new.a := 1; return new; end';
         DROP TRIGGER tr ON t; CREATE TRIGGER tr2 AFTER UPDATE OF a ON t FOR EACH ROW WHEN (new.a > 0) EXECUTE FUNCTION f()",
        &["as-written"],
    ),
    case(
        "table_facts",
        "CREATE TABLE t (a int, b text); CREATE POLICY p ON t USING (a > 0)",
        "ALTER TABLE t SET (fillfactor = 50, autovacuum_enabled = off); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
         ALTER TABLE t ALTER b SET STORAGE external, ALTER b SET STATISTICS 50; ALTER TABLE t REPLICA IDENTITY FULL;
         DROP POLICY p ON t; CREATE POLICY q ON t AS RESTRICTIVE FOR INSERT TO postgres WITH CHECK (a > 1);
         GRANT SELECT, UPDATE ON t TO PUBLIC; COMMENT ON COLUMN t.a IS 'said'; CREATE STATISTICS st ON a, b FROM t",
        &["as-written"],
    ),
    case(
        "name_taken_over_by_new_column",
        "CREATE TABLE t (id int PRIMARY KEY, a int, UNIQUE (a), CONSTRAINT positive CHECK (a > 0)); CREATE INDEX i ON t ((a + 1))",
        "ALTER TABLE t ADD COLUMN b int; ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD CONSTRAINT t_a_key UNIQUE (b);
         ALTER TABLE t ADD CONSTRAINT positive CHECK (b > 0); CREATE INDEX i ON t ((b + 1))",
        &["drop"],
    )
    .lossy(),
    case(
        "names_taken_over_by_new_table",
        "CREATE TABLE t (id int CONSTRAINT k PRIMARY KEY, a int); CREATE INDEX i ON t (a)",
        "CREATE TABLE n (id int, a int); DROP TABLE t; ALTER TABLE n RENAME TO t; CREATE INDEX i ON t (a);
         ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (id)",
        &["drop"],
    ),
    case(
        "back_with_privileges",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE VIEW v AS SELECT id, a FROM t; GRANT SELECT ON v TO PUBLIC;
         COMMENT ON VIEW v IS 'read by all'; CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
         REVOKE ALL ON FUNCTION f() FROM PUBLIC; CREATE TYPE e AS ENUM ('p'); REVOKE ALL ON TYPE e FROM PUBLIC",
        "CREATE OR REPLACE VIEW v AS SELECT id, a, b FROM t; DROP FUNCTION f(); DROP TYPE e",
        &["as-written"],
    ),
    case(
        "back_to_a_type",
        "CREATE TYPE pair AS (a int, b text); CREATE TABLE t (p pair)",
        "ALTER TYPE pair RENAME ATTRIBUTE a TO first CASCADE; CREATE TYPE e AS ENUM ('p'); ALTER TYPE e ADD VALUE 'q'; CREATE TABLE u (x e)",
        &["as-written"],
    ),
    case(
        "back_to_rights_on_columns",
        "CREATE TABLE t (id int, a int, b int); GRANT SELECT (a), UPDATE (a), INSERT (b) ON t TO pg_monitor; GRANT SELECT ON t TO PUBLIC;
         GRANT SELECT ON t TO pg_read_all_data WITH GRANT OPTION; REVOKE TRUNCATE ON t FROM CURRENT_USER;
         CREATE TABLE u (a int); GRANT SELECT (a) ON u TO pg_monitor WITH GRANT OPTION",
        "GRANT SELECT, UPDATE ON t TO pg_monitor; REVOKE SELECT ON t FROM PUBLIC; REVOKE DELETE ON t FROM CURRENT_USER;
         REVOKE GRANT OPTION FOR SELECT ON t FROM pg_read_all_data; REVOKE ALL ON u FROM pg_monitor",
        &["as-written"],
    ),
    case(
        "back_to_a_label_of_a_default",
        "CREATE TYPE e AS ENUM ('p', 'q'); CREATE TABLE t (x e DEFAULT 'p', y int); CREATE INDEX i ON t (y) WHERE x = 'p'",
        "ALTER TYPE e RENAME VALUE 'p' TO 'r'",
        &["as-written"],
    ),
    case(
        "both_ends_of_a_foreign_key_change_their_type",
        "CREATE TABLE c (id char(9) PRIMARY KEY); CREATE TABLE d (c_id char(9) NOT NULL REFERENCES c (id), n int, PRIMARY KEY (c_id, n));
         INSERT INTO c SELECT n FROM generate_series(1, 100) n; INSERT INTO d SELECT id, 1 FROM c",
        "ALTER TABLE d ALTER COLUMN c_id TYPE varchar(12); ALTER TABLE c ALTER COLUMN id TYPE varchar(12)",
        &["shadow-column"],
    )
    .lossy(),
    case(
        "new_tables_that_point_to_each_other",
        "CREATE TABLE base (id int PRIMARY KEY)",
        "CREATE TABLE a (id int PRIMARY KEY REFERENCES base, b_id int); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);
         ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b",
        &[],
    ),
    case(
        "new_table_with_a_sequence_of_later",
        "CREATE TABLE base (id int PRIMARY KEY)",
        "CREATE TABLE a (id int PRIMARY KEY REFERENCES base, n int); CREATE SEQUENCE s;
         ALTER TABLE a ALTER COLUMN n SET DEFAULT nextval('s'); ALTER SEQUENCE s OWNED BY a.n",
        &[],
    ),
    case(
        "new_check_under_the_name_of_the_old",
        "CREATE TABLE m (id int PRIMARY KEY, a int, b int, CONSTRAINT k CHECK (num_nonnulls(a, b) = 1)); INSERT INTO m VALUES (1, 1, NULL)",
        "CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE m ADD COLUMN n_id int UNIQUE REFERENCES n;
         ALTER TABLE m DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (num_nonnulls(a, b, n_id) = 1)",
        &[],
    ),
    case(
        "new_view_replaced_to_read_what_is_newer",
        "CREATE TABLE base (id int PRIMARY KEY)",
        "CREATE TABLE a (id int PRIMARY KEY REFERENCES base, n int); CREATE VIEW v AS SELECT id FROM a; ALTER TABLE base ADD x int;
         CREATE TABLE c (id int); CREATE OR REPLACE VIEW v AS SELECT a.id FROM a, c; COMMENT ON VIEW v IS 'w'; ALTER TABLE base ADD y int;
         CREATE OR REPLACE VIEW v AS SELECT a.id, base.y FROM a JOIN base USING (id)",
        &[],
    ),
    case(
        "back_to_a_type_without_a_cast",
        "CREATE TABLE t (id int, j jsonb NOT NULL)",
        "ALTER TABLE t ALTER COLUMN j TYPE bytea USING convert_to(j::text, 'utf-8')",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_rows_with_their_keys",
        "CREATE TYPE e AS ENUM ('p', 'q'); CREATE TABLE t (id int PRIMARY KEY, x text DEFAULT 'd', n serial);
         CREATE TABLE u (a varchar(5) NOT NULL, b e NOT NULL, c uuid PRIMARY KEY, UNIQUE (a, b)); CREATE TABLE \"W\" (\"K\" numeric(5, 2) PRIMARY KEY);
         INSERT INTO t VALUES (1); INSERT INTO u SELECT 'a', 'p', gen_random_uuid(); INSERT INTO \"W\" VALUES (1.24)",
        "INSERT INTO t (x, id) VALUES (now()::text, -2), (DEFAULT, '3'); INSERT INTO u VALUES ('a'::text, 'q', gen_random_uuid()), (E'\\\\', 'p'::e, gen_random_uuid());
         INSERT INTO \"W\" VALUES (1.234), (7); ALTER TABLE t RENAME COLUMN x TO y; INSERT INTO t (id, y) VALUES (4, 'z')",
        &["as-written"],
    )
    .own_data(),
    case(
        "back_from_rows_that_bring_others",
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (id int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$;
         CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "INSERT INTO t VALUES (1)",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_rows_that_others_refer_to",
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (t_id int REFERENCES t); INSERT INTO u VALUES (NULL)",
        "INSERT INTO t VALUES (1); UPDATE u SET t_id = 1",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_a_function_that_cannot_be_read",
        "CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql
         AS $$ BEGIN EXECUTE 'INSERT INTO ' || 't VALUES (1)'; END $$",
        "SELECT f()",
        &["as-written"],
    )
    .irreversible(),
    case(
        "back_from_a_function_that_writes",
        "CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); END $$",
        "SELECT f()",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_a_function_that_changes_the_schema",
        "CREATE TABLE t (id int)",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF true THEN EXECUTE 'ALTER TABLE t ADD COLUMN x int'; END IF; END $$;
         SELECT f(); DROP FUNCTION f()",
        &["as-written"],
    )
    .irreversible(),
    case(
        "back_to_an_enum_that_a_predicate_names",
        "CREATE TYPE cv AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, v cv NOT NULL DEFAULT 'a', n int);
         CREATE INDEX i ON t (n) WHERE v = 'a'",
        "ALTER TYPE cv RENAME TO old_cv; CREATE TYPE cv AS ENUM ('a', 'b', 'c'); ALTER TABLE t ALTER v DROP DEFAULT; DROP INDEX i;
         ALTER TABLE t ALTER v TYPE cv USING v::text::cv; ALTER TABLE t ALTER v SET DEFAULT 'a';
         CREATE INDEX i ON t (n) WHERE v = 'a'; DROP TYPE old_cv",
        &["drop-index"],
    )
    .lossy(),
    case(
        "back_with_what_new_columns_hold",
        "CREATE TABLE base (id int PRIMARY KEY, k int NOT NULL); INSERT INTO base SELECT g, g FROM generate_series(1, 9) g;
         CREATE TABLE child (id int PRIMARY KEY); INSERT INTO child SELECT g FROM generate_series(1, 9) g",
        "ALTER TABLE child ADD COLUMN x int, ADD COLUMN y int, ADD COLUMN z int; CREATE TABLE p (id int PRIMARY KEY);
         ALTER TABLE child ADD FOREIGN KEY (x) REFERENCES p; CREATE UNIQUE INDEX base_k ON base (k);
         ALTER TABLE child ADD FOREIGN KEY (y) REFERENCES base (k); CREATE SEQUENCE s;
         ALTER TABLE child ALTER z SET DEFAULT nextval('s');
         CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         ALTER TABLE child ADD CHECK (f(z))",
        &["foreign-key", "index", "check"],
    ),
    case(
        "back_with_what_new_tables_hold",
        "CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base SELECT g FROM generate_series(1, 9) g",
        "CREATE TABLE t (id int PRIMARY KEY, n int, d int); ALTER TABLE base ADD COLUMN x int; CREATE TYPE e AS ENUM ('a');
         CREATE DOMAIN d AS int; CREATE TABLE u (id int PRIMARY KEY); CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         ALTER TABLE base ADD COLUMN y int; ALTER TABLE t ADD COLUMN c e; ALTER TABLE t ALTER d TYPE d; CREATE INDEX t_fn ON t (f(n));
         ALTER TABLE t ADD CHECK (f(n)), ADD COLUMN g bool GENERATED ALWAYS AS (f(n)) STORED;
         CREATE POLICY p ON t USING (f(n) AND EXISTS (SELECT FROM u WHERE u.id = n));
         CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO u VALUES (new.n)",
        &["as-written"],
    ),
    case(
        "back_from_a_type_that_came_with_its_columns",
        "CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base SELECT g FROM generate_series(1, 9) g",
        "CREATE TABLE t (id int PRIMARY KEY, n int, m int); ALTER TABLE base ADD COLUMN x int; CREATE DOMAIN d AS int;
         ALTER TABLE t ALTER n TYPE d; ALTER TABLE t ALTER m SET DEFAULT 1",
        &["as-written"],
    ),
    case(
        "back_from_values_of_new_columns",
        SHOP,
        "ALTER TABLE orders ADD COLUMN x int NOT NULL DEFAULT 0;
         WITH many AS (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id)
         UPDATE orders SET x = many.n FROM many WHERE many.customer_id = orders.customer_id",
        &["as-written"],
    ),
    case(
        "back_from_a_cast",
        "CREATE TYPE e AS ENUM ('a'); CREATE TYPE f AS ENUM ('a'); CREATE CAST (e AS f) WITH INOUT AS ASSIGNMENT",
        "DROP CAST (e AS f); CREATE CAST (text AS e) WITH INOUT AS IMPLICIT; CREATE EXTENSION citext",
        &["as-written"],
    ),
    case(
        "back_from_rows_with_the_key_of_an_index",
        "CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, n int NOT NULL); CREATE UNIQUE INDEX t_name ON t (name);
         INSERT INTO t (name, n) VALUES ('a', 1)",
        "ALTER TABLE t ALTER n DROP NOT NULL; INSERT INTO t (name) VALUES ('b'), ('c')",
        &["as-written"],
    ),
    case(
        "back_from_statements_in_code",
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, g FROM generate_series(1, 9) g; CREATE TYPE e AS ENUM ('a')",
        "DO $$ BEGIN CREATE TYPE e AS ENUM ('b'); EXCEPTION WHEN duplicate_object THEN null; END $$;
         DO $$ BEGIN CREATE TYPE f AS ENUM ('b'); EXCEPTION WHEN duplicate_object THEN null; END $$;
         DO $$ BEGIN ALTER TABLE t ADD CONSTRAINT n FOREIGN KEY (n) REFERENCES t; EXCEPTION WHEN duplicate_object THEN null; END $$",
        &["foreign-key"],
    ),
    case(
        "back_from_code_that_asks_the_catalog",
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, g FROM generate_series(1, 9) g; CREATE TYPE e AS ENUM ('a')",
        "DO $$ BEGIN
           IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 't' AND column_name = 'n') THEN
             IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 't' AND column_name = 'm') THEN
               ALTER TABLE t RENAME COLUMN n TO m;
               ALTER TABLE t ALTER COLUMN m TYPE bigint;
             ELSE
               ALTER TABLE t DROP COLUMN n;
             END IF;
           END IF;
         END $$;
         DO $$ BEGIN
           IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 't_fk' AND conrelid = 't'::regclass) THEN
             EXECUTE 'ALTER TABLE t ADD CONSTRAINT t_fk FOREIGN KEY (id) REFERENCES t';
           END IF;
           IF (SELECT count(*) = 2 FROM pg_indexes WHERE indexname IN ('t_pkey', 't_m')) THEN DROP TABLE t; END IF;
           IF to_regclass('t_m') IS NULL THEN CREATE INDEX t_m ON t (m); END IF;
           BEGIN DROP TYPE e; EXCEPTION WHEN dependent_objects_still_exist THEN RAISE NOTICE 'stays'; END;
         END $$",
        &["foreign-key", "index", "as-written"],
    ),
    case(
        "back_from_rows_that_others_may_refer_to",
        "CREATE TABLE t (id int PRIMARY KEY, n text); CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE);
         CREATE TABLE w (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE x (a int, b int, FOREIGN KEY (a, b) REFERENCES w);
         INSERT INTO t VALUES (1, 'a')",
        "INSERT INTO t VALUES (2, 'b'), (3, 'c'); INSERT INTO u VALUES (1, 3); INSERT INTO w VALUES (1, 2); INSERT INTO x VALUES (3, NULL)",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_rows_that_a_trigger_dates",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, at timestamptz);
         CREATE FUNCTION dated() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.at IS NULL THEN new.at := now(); END IF; RETURN new; END';
         CREATE TRIGGER dated BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION dated(); INSERT INTO t (name, at) VALUES ('a', '2020-01-01')",
        "CREATE TABLE u (id int); INSERT INTO t (name, at) VALUES ('b', '2021-01-01'), ('c', '2022-01-01')",
        &["as-written"],
    ),
    case(
        "back_from_types_and_functions_of_each_other",
        "CREATE TABLE base (id int PRIMARY KEY)",
        "CREATE TYPE a AS ENUM ('x'); CREATE TYPE b AS (x a); CREATE DOMAIN c AS b; CREATE FUNCTION z(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE DOMAIN d AS text CHECK (z(value)); CREATE FUNCTION g(d) RETURNS c LANGUAGE sql IMMUTABLE AS 'SELECT NULL::c';
         CREATE TABLE t (id int PRIMARY KEY, x d DEFAULT 'a', y c); ALTER TABLE base ADD COLUMN x d;
         CREATE SEQUENCE s; CREATE DOMAIN h AS int DEFAULT nextval('s')",
        &["as-written"],
    ),
    case(
        "back_from_functions_of_a_renamed_type",
        "CREATE DOMAIN d AS text; CREATE DOMAIN d_key AS text; CREATE FUNCTION ok(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE DOMAIN e AS text CHECK (ok(value)); CREATE FUNCTION all_of(p d) RETURNS SETOF d LANGUAGE sql AS 'SELECT $1';
         CREATE FUNCTION up(p d, q d_key) RETURNS d LANGUAGE plpgsql AS 'BEGIN RETURN p; END'",
        "ALTER DOMAIN d RENAME TO x; ALTER FUNCTION ok RENAME TO fine; DROP FUNCTION up; DROP FUNCTION all_of; DROP DOMAIN e;
         CREATE FUNCTION up(p text) RETURNS x LANGUAGE plpgsql AS 'BEGIN RETURN p; END'",
        &["as-written"],
    ),
    case(
        "back_from_a_reference_to_a_key_that_changes",
        "CREATE TABLE d (id int PRIMARY KEY, p int); INSERT INTO d SELECT g, g FROM generate_series(1, 9) g;
         CREATE TABLE r (id int PRIMARY KEY, d_id int); INSERT INTO r SELECT g, g FROM generate_series(1, 9) g",
        "ALTER TABLE r ADD COLUMN p int; UPDATE r SET p = d_id; ALTER TABLE d DROP CONSTRAINT d_pkey, ADD CONSTRAINT d_pkey PRIMARY KEY (id, p);
         ALTER TABLE r ADD CONSTRAINT r_d FOREIGN KEY (d_id, p) REFERENCES d (id, p); CREATE UNIQUE INDEX d_p ON d (p);
         ALTER TABLE r ADD CONSTRAINT r_p FOREIGN KEY (p) REFERENCES d (p)",
        &["foreign-key"],
    ),
    case(
        "back_from_a_reference_to_a_new_column",
        "CREATE TABLE d (id int PRIMARY KEY); INSERT INTO d SELECT g FROM generate_series(1, 9) g;
         CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r SELECT g FROM generate_series(1, 9) g",
        "ALTER TABLE r ADD COLUMN n int; ALTER TABLE d ADD COLUMN n int; ALTER TABLE d ADD CONSTRAINT d_n UNIQUE (n);
         ALTER TABLE r ADD CONSTRAINT r_n FOREIGN KEY (n) REFERENCES d (n)",
        &[],
    ),
    case(
        "made_again_without_a_gap",
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, g FROM generate_series(1, 9) g;
         CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; CREATE MATERIALIZED VIEW m AS SELECT id FROM t LIMIT 0;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
         CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE POLICY p ON t USING (true)",
        "DROP VIEW IF EXISTS w; DROP VIEW v; ALTER TABLE t ADD COLUMN x text; CREATE VIEW v AS SELECT id, x FROM t;
         CREATE VIEW w AS SELECT id FROM v; DROP TRIGGER g ON t; DROP FUNCTION f();
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END';
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
         DROP POLICY p ON t; CREATE POLICY p ON t USING (id > 0)",
        &["as-written"],
    )
    .never_missed(&["v", "w"]),
    case(
        "back_to_a_predicate_by_a_shadow",
        "CREATE TABLE t (id int PRIMARY KEY, n int, CHECK (n > -1)); INSERT INTO t SELECT g, g FROM generate_series(1, 9) g;
         CREATE INDEX i ON t (id) WHERE n <> 0; CREATE INDEX j ON t ((n + 1)); CREATE INDEX k ON t (n) WHERE id > 3",
        "ALTER TABLE t ALTER n TYPE float8",
        &["shadow-column"],
    )
    .lossy(),
    case(
        "back_to_a_predicate_in_place",
        "CREATE TABLE t (id int PRIMARY KEY, n int, CHECK (n > -1)); INSERT INTO t SELECT g, g FROM generate_series(1, 9) g;
         CREATE INDEX i ON t (id) WHERE n <> 0; CREATE INDEX j ON t ((n + 1)); CREATE INDEX k ON t (n) WHERE id > 3",
        "ALTER TABLE t ALTER n TYPE float8",
        &["as-written"],
    )
    .small()
    .lossy(),
    case(
        "back_from_objects_that_use_each_other",
        "",
        "CREATE EXTENSION cube; CREATE EXTENSION earthdistance;
         CREATE FUNCTION a_last(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $2';
         CREATE AGGREGATE z_last(int) (SFUNC = a_last, STYPE = int);
         CREATE SCHEMA s; CREATE COLLATION s.c FROM \"C\"; CREATE TABLE s.t (a text COLLATE s.c);
         CREATE OPERATOR s.@@@ (FUNCTION = a_last, LEFTARG = int, RIGHTARG = int);
         CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple); COMMENT ON COLLATION s.c IS 'bytes';
         ALTER TEXT SEARCH CONFIGURATION plain ALTER MAPPING FOR word WITH english_stem",
        &["as-written"],
    ),
    case(
        "back_to_labels_beside_other_changes",
        "CREATE TYPE e AS ENUM ('a', 'b', 'c'); CREATE TABLE t (x e DEFAULT 'a', y int); INSERT INTO t VALUES ('b', 1)",
        "ALTER TYPE e RENAME VALUE 'a' TO 'A'; ALTER TYPE e RENAME VALUE 'b' TO 'B'; CREATE TABLE u (x e DEFAULT 'A')",
        &["as-written"],
    ),
    case(
        "back_from_a_dropped_key_and_its_column",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t DROP COLUMN b; ALTER TABLE t DROP COLUMN state",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_a_dropped_key_and_its_table",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_b_fkey; DROP TABLE base",
        &["as-written"],
    )
    .lossy(),
    case(
        "back_from_a_replaced_column",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t DROP COLUMN b, ADD COLUMN b text",
        &[],
    )
    .lossy(),
    case(
        "back_from_a_renamed_column",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t RENAME b TO c; ALTER TABLE t RENAME TO v; ALTER TABLE v DROP COLUMN c;
         ALTER TABLE base RENAME id TO key",
        &[],
    )
    .lossy(),
    case(
        "back_from_a_column_beside_a_shadow",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t ALTER w TYPE bigint; ALTER TABLE t DROP COLUMN b",
        &["shadow-column"],
    )
    .lossy(),
    case(
        "back_from_a_key_that_its_table_refers_to",
        "CREATE TABLE t (id int PRIMARY KEY, token text); INSERT INTO t SELECT g, 'a' || g FROM generate_series(1, 10) g",
        "ALTER TABLE t ADD COLUMN p text;
         DO $$ BEGIN ALTER TABLE t ADD CONSTRAINT tu UNIQUE (token);
         ALTER TABLE t ADD CONSTRAINT tf FOREIGN KEY (p) REFERENCES t (token); END $$",
        &[],
    ),
    case(
        "back_from_a_dropped_unique_key_and_its_column",
        KEYED,
        "ALTER TABLE t DROP CONSTRAINT t_u_key; ALTER TABLE t DROP COLUMN u",
        &["as-written"],
    )
    .irreversible(),
    case(
        "back_from_a_dropped_unique_index_and_its_column",
        KEYED,
        "DROP INDEX t_w; ALTER TABLE t DROP COLUMN w",
        &["drop-index"],
    )
    .irreversible(),
    case(
        "back_from_what_is_not_compared",
        "CREATE COLLATION c FROM \"C\"",
        "DROP COLLATION c",
        &["as-written"],
    )
    .irreversible(),
];
