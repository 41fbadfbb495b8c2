//! What one statement does, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use crate::catalog::Name;
use crate::plan::lock::LockMode;
use crate::plan::model::{Hazard, HazardId};

/// A relation named by an impact, or all of them where it cannot be known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Every relation of the database.
    Any,
    /// One relation that existed before the statement.
    Relation(Name),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Relation(name) => name.fmt(f),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Name> for Target {
    fn from(name: Name) -> Self {
        Self::Relation(name)
    }
}

/// Whether a statement may run inside a transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TransactionRule {
    /// It may.
    Allowed,
    /// The server refuses it there (25001).
    Forbidden,
    /// Not known.
    Unknown,
}

/// The error that the catalog already foretells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// SQLSTATE.
    pub sqlstate: String,
    /// What is wrong, naming the object.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impact {
    /// Transaction rule.
    pub transaction: TransactionRule,
    /// Strongest mode per relation that exists before the statement; indexes from `ShareUpdateExclusive` up.
    pub locks: BTreeMap<Target, LockMode>,
    /// Relations that get a new file.
    pub rewrites: BTreeSet<Target>,
    /// Relations read in full while their lock is held.
    pub scans: BTreeSet<Target>,
    /// Relations whose users the statement waits for without conflicting with their lock (CONCURRENTLY).
    pub waits_for_transactions: BTreeSet<Target>,
    /// Named dangers.
    pub hazards: Vec<Hazard>,
    /// Set when the catalog tells that the server will refuse the statement.
    pub refused: Option<Refusal>,
    /// Whether functions or triggers that it runs change the schema.
    pub code_changes_schema: bool,
}

impl Impact {
    /// No locks, allowed in a transaction.
    pub fn none() -> Self {
        Self {
            transaction: TransactionRule::Allowed,
            locks: BTreeMap::new(),
            rewrites: BTreeSet::new(),
            scans: BTreeSet::new(),
            waits_for_transactions: BTreeSet::new(),
            hazards: Vec::new(),
            refused: None,
            code_changes_schema: false,
        }
    }

    /// The worst case: everything locked, rewritten and scanned.
    pub fn unanalyzable(why: &str) -> Self {
        Self {
            transaction: TransactionRule::Unknown,
            locks: BTreeMap::from([(Target::Any, LockMode::AccessExclusive)]),
            rewrites: BTreeSet::from([Target::Any]),
            scans: BTreeSet::from([Target::Any]),
            hazards: vec![Hazard::new(HazardId::Unanalyzable, None, why)],
            ..Self::none()
        }
    }

    /// Adds a lock; several on one relation are joined.
    pub fn lock(&mut self, relation: impl Into<Target>, mode: LockMode) {
        self.locks.entry(relation.into()).and_modify(|held| *held = held.join(mode)).or_insert(mode);
    }

    /// Says that the relation gets a new file.
    pub fn rewrite(&mut self, relation: impl Into<Target>) {
        self.rewrites.insert(relation.into());
    }

    /// Adds a named danger, once.
    pub fn hazard(&mut self, id: HazardId, relation: Option<&Name>, message: impl Into<String>) {
        let hazard = Hazard::new(id, relation.map(ToString::to_string), message);
        if !self.hazards.contains(&hazard) {
            self.hazards.push(hazard);
        }
    }

    /// Says that the server will refuse the statement. The first refusal stays: rules report in the server's
    /// order of checks.
    pub fn refuse(&mut self, sqlstate: &str, message: impl Into<String>, hint: impl Into<String>) {
        if self.refused.is_none() {
            self.refused = Some(Refusal { sqlstate: sqlstate.to_owned(), message: message.into(), hint: hint.into() });
        }
    }

    /// Leaves out what is said of some relations.
    pub fn forget(&mut self, which: impl Fn(&Name) -> bool) {
        let stays = |target: &Target| !matches!(target, Target::Relation(name) if which(name));
        self.locks.retain(|target, _| stays(target));
        self.rewrites.retain(stays);
        self.scans.retain(stays);
        self.waits_for_transactions.retain(stays);
        self.hazards.retain(|hazard| {
            let relation = hazard.relation.as_ref().and_then(|relation| relation.parse::<Name>().ok());
            relation.is_none_or(|name| !which(&name))
        });
    }

    /// Adds everything that another impact does (a statement inside a statement).
    pub fn merge(&mut self, other: Self) {
        for (target, mode) in other.locks {
            self.lock(target, mode);
        }
        self.rewrites.extend(other.rewrites);
        self.scans.extend(other.scans);
        self.waits_for_transactions.extend(other.waits_for_transactions);
        for hazard in other.hazards {
            if !self.hazards.contains(&hazard) {
                self.hazards.push(hazard);
            }
        }
        if self.refused.is_none() {
            self.refused = other.refused;
        }
        self.code_changes_schema |= other.code_changes_schema;
        self.transaction = match (self.transaction, other.transaction) {
            (TransactionRule::Allowed, TransactionRule::Allowed) => TransactionRule::Allowed,
            (TransactionRule::Forbidden, _) | (_, TransactionRule::Forbidden) => TransactionRule::Forbidden,
            _ => TransactionRule::Unknown,
        };
    }
}
