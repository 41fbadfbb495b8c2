//! Tables, columns, constraints, indexes, partitions, sequences and types.

use wesley::catalog::{
    Catalog, Column, ColumnReference, Constraint, ConstraintKind, Generated, Identity, Name, Persistence, RelationKind,
    ReplicaIdentity, TypeKind,
};

use super::{name, relation};

fn column<'a>(catalog: &'a Catalog, table: &str, column: &str) -> &'a Column {
    relation(catalog, table).column(column).unwrap_or_else(|| panic!("no column {column} of {table}"))
}

fn constraint<'a>(catalog: &'a Catalog, table: &str, constraint: &str) -> &'a Constraint {
    relation(catalog, table).constraint(constraint).unwrap_or_else(|| panic!("no constraint {constraint} of {table}"))
}

pub fn reference(relation: &str, column: Option<&str>) -> ColumnReference {
    ColumnReference { relation: name(relation), column: column.map(str::to_owned) }
}

pub fn check_columns(catalog: &Catalog) {
    let book = relation(catalog, "library.book");
    assert_eq!((book.kind, book.persistence), (RelationKind::Table, Persistence::Permanent));
    assert_eq!((book.owner.as_str(), book.access_method.as_str()), ("postgres", "heap"));
    assert_eq!(book.options, ["fillfactor=80", "toast.autovacuum_enabled=off"]);
    assert_eq!(book.replica_identity, ReplicaIdentity::Full);
    assert_eq!(book.comment.as_deref(), Some("what can be lent"));
    assert_eq!(book.privileges.len(), 2, "the owner's and everyone's: {:?}", book.privileges);
    assert_eq!(relation(catalog, "library.session").persistence, Persistence::Unlogged);
    let names: Vec<&str> = book.columns.iter().map(|column| column.name.as_str()).collect();
    let expected =
        ["id", "author_id", "isbn", "title", "slug", "code", "genres", "price", "weight", "added", "printed", "note"];
    assert_eq!(names, expected);

    let column = |name: &str| column(catalog, "library.book", name);
    let id = column("id");
    assert_eq!(id.default.as_deref(), Some("nextval('library.book_id_seq'::regclass)"));
    assert_eq!(id.owned_sequence, Some(name("library.book_id_seq")));
    assert_eq!(id.references, [reference("library.book_id_seq", None)]);
    assert!(id.not_null && id.local && id.identity.is_none());

    let title = column("title");
    assert_eq!((&title.data_type.name, title.data_type.modifier), (&Name::new("pg_catalog", "varchar"), 204));
    assert_eq!(title.collation.as_deref(), Some("pg_catalog.\"C\""));
    assert_eq!((title.statistics_target, title.comment.as_deref()), (Some(500), Some("as printed")));
    assert_eq!(title.privileges, ["=w/postgres"]);

    let slug = column("slug");
    assert_eq!(slug.generated, Some(Generated::Stored));
    assert_eq!(slug.references, [reference("library.book", Some("title"))]);
    assert_eq!(slug.functions, [name("library.slug")]);

    assert_eq!(column("code").functions, [name("library.fresh_code")]);
    assert!(column("code").references.is_empty());
    let genres = &column("genres").data_type;
    assert_eq!(
        (genres.name.clone(), genres.array, genres.sql.as_str()),
        (name("library.genre"), true, "library.genre[]")
    );
    assert_eq!(column("weight").options, ["n_distinct=7"]);
    let note = column("note");
    assert_eq!((note.storage.as_deref(), note.compression.as_deref()), (Some("EXTERNAL"), Some("pglz")));
    // Not in the time zone of whoever reads.
    assert_eq!(column("printed").default.as_deref(), Some("'2001-02-03 04:05:06+00'::timestamp with time zone"));
    assert_eq!(column("isbn").data_type.name, name("library.isbn"));

    let author = relation(catalog, "library.author").column("id").unwrap();
    assert_eq!(author.identity, Some(Identity::ByDefault));
    assert_eq!(author.owned_sequence, Some(name("library.author_id_seq")));

    let rare = relation(catalog, "library.rare_book");
    assert_eq!(rare.parents, [name("library.book")]);
    let (inherited, own) = (rare.column("slug").unwrap(), rare.column("vault").unwrap());
    assert_eq!((inherited.local, inherited.inherited, own.local, own.inherited), (false, 1, true, 0));
    assert_eq!(inherited.references, [reference("library.rare_book", Some("title"))]);
    assert_eq!(rare.column("id").unwrap().owned_sequence, None);

    let reader = relation(catalog, "library.reader");
    assert_eq!(reader.of_type, Some(name("library.address")));
    assert!(reader.column("street").unwrap().not_null);
    let remote = relation(catalog, "library.remote");
    assert_eq!(remote.foreign.as_ref().map(|foreign| foreign.server.as_str()), Some("elsewhere"));
    assert_eq!(remote.columns[0].foreign_options, ["column_name=key"]);
}

pub fn check_constraints(catalog: &Catalog) {
    let author = constraint(catalog, "library.book", "book_author");
    assert!(author.deferrable && author.initially_deferred && author.validated && author.enforced);
    assert_eq!(author.columns, ["author_id"]);
    assert_eq!(author.index, Some(name("library.author_pkey")));
    let ConstraintKind::ForeignKey { references, referenced_columns, on_delete, on_update, from_parent, .. } =
        &author.kind
    else {
        panic!("{author:?}");
    };
    assert_eq!((references, referenced_columns.as_slice()), (&name("library.author"), &["id".to_owned()][..]));
    assert_eq!((*on_delete, *on_update, *from_parent), ('c', 'a', false));

    let sane = constraint(catalog, "library.book", "book_sane");
    assert_eq!(sane.columns, ["weight", "title"], "every column that the check mentions");
    assert!(!sane.validated && sane.local);
    assert_eq!(sane.comment.as_deref(), Some("nearly always true"));
    let ConstraintKind::Check { expression } = &sane.kind else { panic!("{sane:?}") };
    assert_eq!(expression, "((weight > (0)::double precision) OR ((title)::text <> ''::text))");

    let inherited = constraint(catalog, "library.rare_book", "book_sane");
    assert_eq!((inherited.local, inherited.inherited), (false, 1));
    let exclusion = constraint(catalog, "library.book", "book_code_excl");
    assert_eq!(
        (&exclusion.kind, &exclusion.index),
        (&ConstraintKind::Exclusion, &Some(name("library.book_code_excl")))
    );
    let unique = constraint(catalog, "library.author", "author_name_key");
    assert_eq!((&unique.kind, unique.columns.len()), (&ConstraintKind::Unique, 2));
    assert_eq!(constraint(catalog, "library.audit", "late_check").kind, ConstraintKind::Trigger);

    // One entry more for each partition of the referenced table.
    let fine = relation(catalog, "library.fine");
    let referenced: Vec<(String, bool)> = fine
        .constraints
        .iter()
        .filter_map(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey { references, from_parent, .. } => Some((references.to_string(), *from_parent)),
            _ => None,
        })
        .collect();
    assert!(referenced.contains(&("library.loan".to_owned(), false)));
    assert!(referenced.contains(&("library.loan_2025_a".to_owned(), true)));
    assert_eq!(referenced.len(), 5);
    let ordered = catalog.relations.values().all(|relation| relation.constraints.is_sorted_by_key(|c| &c.name));
    assert!(ordered);
}

pub fn check_indexes(catalog: &Catalog) {
    let index = |name: &str| relation(catalog, name).index.as_ref().unwrap();
    let title = index("library.book_title_idx");
    assert_eq!(title.table, name("library.book"));
    let key = &title.keys[0];
    assert_eq!((key.column.as_deref(), key.operator_class.as_str()), (Some("title"), "text_pattern_ops"));
    assert_eq!((key.descending, key.nulls_first, key.default_class), (true, false, false));
    assert_eq!(key.operator_family, "pg_catalog.text_pattern_ops");
    assert_eq!(key.collation, "pg_catalog.\"C\"");
    assert_eq!((title.keys.len(), title.include.as_slice()), (2, &["price".to_owned()][..]));
    assert!(title.keys[1].default_class && title.keys[1].collation.is_empty());
    assert_eq!(title.predicate.as_deref(), Some("((title)::text <> ''::text)"));
    assert_eq!(title.expression_columns, ["title"], "a plain key that the predicate mentions too");

    let slug = index("library.book_slug_idx");
    assert_eq!(slug.keys[0].expression.as_deref(), Some("library.slug((title)::text)"));
    assert_eq!(slug.keys[1].expression.as_deref(), Some("((weight * (2)::double precision))"));
    assert_eq!((slug.keys[1].statistics_target, slug.keys[2].column.as_deref()), (Some(300), Some("id")));
    assert_eq!(slug.expression_columns, ["title", "weight"]);
    assert_eq!(slug.functions, [name("library.slug")]);

    assert!(index("library.book_code_idx").clustered && index("library.book_code_idx").unique);
    assert_eq!(index("library.book_genres_idx").method, "gin");
    let key = index("library.book_pkey");
    assert!(key.primary && key.immediate && key.valid && key.ready);
    assert_eq!(key.constraint.as_deref(), Some("book_pkey"));
    assert_eq!(index("library.prices_author").table, name("library.prices"));

    assert_eq!(relation(catalog, "library.loan_desk").kind, RelationKind::PartitionedIndex);
    let leaf = catalog.relations.values().filter_map(|relation| relation.index.as_ref());
    let leaves = leaf.filter(|index| index.parent == Some(name("library.loan_desk"))).count();
    assert_eq!(leaves, 3, "one for each direct partition");
    assert!(!index("library.loan_book_only").valid);
}

pub fn check_partitions(catalog: &Catalog) {
    let loan = relation(catalog, "library.loan");
    assert_eq!(loan.kind, RelationKind::PartitionedTable);
    let key = loan.partition_key.as_ref().unwrap();
    assert_eq!((key.strategy, key.definition.as_str()), ('r', "RANGE (lent)"));
    assert_eq!(
        (key.columns.as_slice(), &key.default_partition),
        (&["lent".to_owned()][..], &Some(name("library.loan_rest")))
    );
    let leaf = relation(catalog, "library.loan_2024");
    assert_eq!(leaf.parents, [name("library.loan")]);
    assert_eq!(leaf.partition_bound.as_deref(), Some("FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"));
    let nested = relation(catalog, "library.loan_2025");
    assert!(nested.partition_bound.is_some() && nested.partition_key.is_some() && !nested.detach_pending);
    let desk = relation(catalog, "library.desk").partition_key.as_ref().unwrap();
    let mut columns = desk.columns.clone();
    columns.sort();
    assert_eq!(columns, ["floor", "name", "opened"], "those inside expressions too");
    assert_eq!(desk.functions, [name("library.slug")]);
}

pub fn check_sequences_and_types(catalog: &Catalog) {
    let ticket = relation(catalog, "library.ticket").sequence.as_ref().unwrap();
    assert_eq!((ticket.data_type.as_str(), ticket.start, ticket.increment), ("smallint", 5, 5));
    assert_eq!((ticket.minimum, ticket.maximum, ticket.cache, ticket.cycle), (1, 500, 2, true));
    assert_eq!(ticket.owned_by, None);
    let identity = relation(catalog, "library.author_id_seq").sequence.as_ref().unwrap();
    assert!(identity.identity);
    assert_eq!(identity.owned_by, Some(reference("library.author", Some("id"))));
    let serial = relation(catalog, "library.book_id_seq").sequence.as_ref().unwrap();
    assert!(!serial.identity);
    assert_eq!(serial.owned_by, Some(reference("library.book", Some("id"))));

    let kind = |text: &str| &catalog.types.get(&name(text)).unwrap_or_else(|| panic!("no type {text}")).kind;
    assert_eq!(
        kind("library.genre"),
        &TypeKind::Enum { labels: ["novel", "essay", "poetry"].map(str::to_owned).to_vec() }
    );
    assert_eq!(kind("library.span"), &TypeKind::Range { subtype: "bigint".to_owned() });
    let TypeKind::Domain { base, not_null, default, constraints, collation } = kind("library.isbn") else {
        panic!("a domain");
    };
    assert_eq!((base.sql.as_str(), base.modifier, *not_null), ("character varying(20)", 24, true));
    assert_eq!((default.as_deref(), collation), (Some("'none'::character varying"), &None));
    let form = constraints.iter().find(|constraint| constraint.name == "isbn_form").unwrap();
    assert_eq!(form.functions, [name("library.is_isbn")]);
    let TypeKind::Domain { constraints, .. } = kind("library.amount") else { panic!("a domain") };
    assert!(!constraints[0].validated);
    let TypeKind::Domain { collation, .. } = kind("library.nickname") else { panic!("a domain") };
    assert_eq!(collation.as_deref(), Some("pg_catalog.\"C\""));
    let TypeKind::Composite { attributes } = kind("library.address") else { panic!("a composite type") };
    assert_eq!(attributes.len(), 3);
    assert_eq!(attributes[1].comment.as_deref(), Some("house number"));
    assert_eq!(catalog.types[&name("library.address")].comment.as_deref(), Some("where a reader lives"));
    assert_eq!(catalog.types[&name("library.citext")].extension.as_deref(), Some("citext"));
    // Row types, array types and multiranges follow from what they belong to.
    for follows in ["library.book", "library._genre", "library.span_multirange"] {
        assert!(!catalog.types.contains_key(&name(follows)), "{follows}");
    }
    assert!(!catalog.relations.contains_key(&name("library.address")));
}

pub fn check_odd_names(catalog: &Catalog) {
    let table = Name::new("Odd \"schema\"", "Größe \"x\"");
    let relation = &catalog.relations[&table];
    assert_eq!(relation.columns[0].name, "Ünï");
    assert_eq!(relation.columns[1].default.as_deref(), Some(r"'a''b\c'::text"));
    assert_eq!(relation.columns[3].name.len(), 63);
    let check = relation.constraints.iter().find(|c| matches!(c.kind, ConstraintKind::Check { .. })).unwrap();
    assert_eq!(check.columns, ["a.b"]);
    let view = catalog.relations[&Name::new("Odd \"schema\"", "V")].view.as_ref().unwrap();
    let read: Vec<_> = view.references.iter().filter_map(|reference| reference.column.as_deref()).collect();
    assert_eq!(read, ["select", "Ünï"]);
    assert_eq!(table.to_string().parse(), Ok(table));
}

pub fn check_since_15(catalog: &Catalog) {
    assert!(relation(catalog, "library.author_pen_name").index.as_ref().unwrap().nulls_not_distinct);
    let key = constraint(catalog, "library.gift", "gift_author_id_fkey");
    let ConstraintKind::ForeignKey { delete_columns, on_delete, .. } = &key.kind else { panic!("{key:?}") };
    assert_eq!((delete_columns.as_slice(), *on_delete), (&["author_id".to_owned()][..], 'n'));
}

pub fn check_since_18(catalog: &Catalog) {
    assert_eq!(column(catalog, "library.reservation", "days").generated, Some(Generated::Virtual));
    assert!(constraint(catalog, "library.reservation", "reservation_pkey").period);
    assert!(constraint(catalog, "library.visit", "visit_room_during_fkey").period);
    assert!(!constraint(catalog, "library.reservation", "few").enforced);
    let known = constraint(catalog, "library.reservation", "book_known");
    assert_eq!((&known.kind, known.validated), (&ConstraintKind::NotNull, false));
    assert!(column(catalog, "library.reservation", "book_id").not_null);
}
