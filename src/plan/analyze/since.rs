//! The first server major that has a piece of syntax. The parser's grammar is the newest server's, so text that
//! parses may still be refused by an older target.
//!
//! Source: the release notes of PostgreSQL 15 to 18 (all supported targets have what 14 brought).

use super::{Impact, Resolver};

/// A piece of syntax that is younger than the oldest supported server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    SetAccessMethod,
    NullsNotDistinct,
    PublicationSchemas,
    PublicationColumns,
    PublicationFilter,
    Merge,
    UnloggedSequence,
    ForeignKeySetColumns,
    GrantOnParameter,
    SetStorageDefault,
    ColumnStorage,
    GrantRoleOptions,
    JsonConstructors,
    SubqueryWithoutAlias,
    ReindexCurrentDatabase,
    StatisticsWithoutName,
    VacuumProcessMain,
    SetExpression,
    StatisticsDefault,
    DomainNotNull,
    MergeReturning,
    MergeNotMatchedBySource,
    JsonTable,
    JsonQueryFunctions,
    MaintainPrivilege,
    AccessMethodDefault,
    CopyOnError,
    VacuumOnly,
    ReturningOldNew,
    VirtualColumn,
    NotEnforced,
    NamedNotNull,
    AlterConstraintInherit,
    WithoutOverlaps,
    ForeignTableLike,
}

impl Feature {
    /// First major that has it, and how it is spelled.
    fn since(self) -> (i32, &'static str) {
        match self {
            Self::SetAccessMethod => (15, "ALTER TABLE ... SET ACCESS METHOD"),
            Self::NullsNotDistinct => (15, "NULLS NOT DISTINCT"),
            Self::PublicationSchemas => (15, "TABLES IN SCHEMA of a publication"),
            Self::PublicationColumns => (15, "a column list of a publication"),
            Self::PublicationFilter => (15, "a row filter of a publication"),
            Self::Merge => (15, "MERGE"),
            Self::UnloggedSequence => (15, "an unlogged sequence"),
            Self::ForeignKeySetColumns => (15, "a column list of ON DELETE SET NULL or SET DEFAULT"),
            Self::GrantOnParameter => (15, "GRANT ON PARAMETER"),
            Self::SetStorageDefault => (16, "SET STORAGE DEFAULT"),
            Self::ColumnStorage => (16, "STORAGE in CREATE TABLE"),
            Self::GrantRoleOptions => (16, "GRANT of a role WITH INHERIT or SET"),
            Self::JsonConstructors => (16, "the SQL/JSON constructors and IS JSON"),
            Self::SubqueryWithoutAlias => (16, "a subquery in FROM without an alias"),
            Self::ReindexCurrentDatabase => (16, "REINDEX DATABASE without a name"),
            Self::StatisticsWithoutName => (16, "CREATE STATISTICS without a name"),
            Self::VacuumProcessMain => (16, "this VACUUM option"),
            Self::SetExpression => (17, "SET EXPRESSION"),
            Self::StatisticsDefault => (17, "SET STATISTICS DEFAULT"),
            Self::DomainNotNull => (17, "ALTER DOMAIN ... ADD NOT NULL"),
            Self::MergeReturning => (17, "MERGE ... RETURNING"),
            Self::MergeNotMatchedBySource => (17, "WHEN NOT MATCHED BY SOURCE"),
            Self::JsonTable => (17, "JSON_TABLE"),
            Self::JsonQueryFunctions => (17, "this SQL/JSON function"),
            Self::MaintainPrivilege => (17, "the privilege MAINTAIN"),
            Self::AccessMethodDefault => (17, "SET ACCESS METHOD DEFAULT"),
            Self::CopyOnError => (17, "COPY ... ON_ERROR"),
            Self::VacuumOnly => (18, "ONLY in VACUUM and ANALYZE"),
            Self::ReturningOldNew => (18, "OLD and NEW in RETURNING"),
            Self::VirtualColumn => (18, "a virtual generated column"),
            Self::NotEnforced => (18, "NOT ENFORCED"),
            Self::NamedNotNull => (18, "NOT NULL as a table constraint"),
            Self::AlterConstraintInherit => (18, "ALTER CONSTRAINT ... INHERIT"),
            Self::WithoutOverlaps => (18, "WITHOUT OVERLAPS and PERIOD"),
            Self::ForeignTableLike => (18, "LIKE in CREATE FOREIGN TABLE"),
        }
    }
}

/// Says 42601 when the server is older than the feature.
pub(super) fn require(impact: &mut Impact, resolver: &Resolver<'_>, feature: Feature) {
    require_as(impact, resolver, feature, "42601");
}

/// Says 0A000 when the server is older than the feature, but its grammar knows the words.
pub(super) fn require_option(impact: &mut Impact, resolver: &Resolver<'_>, feature: Feature) {
    require_as(impact, resolver, feature, "0A000");
}

fn require_as(impact: &mut Impact, resolver: &Resolver<'_>, feature: Feature, sqlstate: &str) {
    let (major, syntax) = feature.since();
    if resolver.major() < major {
        impact.refuse(
            sqlstate,
            format!("{syntax} needs PostgreSQL {major}; the server is {}", resolver.major()),
            format!("Leave it out, or upgrade the server to PostgreSQL {major} first."),
        );
    }
}
