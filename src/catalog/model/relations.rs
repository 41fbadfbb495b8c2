//! The relations of a catalog: a map that is copied in an instant, because copies share what neither has changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::references::References;
use super::{Name, Relation};

/// A relation under its name.
pub(super) type Entry = Arc<(Name, Relation)>;
type Chunk = Arc<Vec<Entry>>;

/// Entries of a chunk at most.
const CHUNK: usize = 64;

/// Relations by name, in the order of names. A copy shares everything with the original; a change copies a short
/// piece of the list of names, and then only the relation that it changes. So a plan can keep the catalog before and
/// after each of its steps, and tell what differs between them without looking at the rest.
#[derive(Clone, Default)]
pub struct Relations {
    /// Never empty ones.
    chunks: Arc<Vec<Chunk>>,
    references: References,
}

impl PartialEq for Relations {
    fn eq(&self, other: &Self) -> bool {
        self.differences(other).all(|(_, one, other)| one == other)
    }
}

impl fmt::Debug for Relations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

type Pair<'a> = (&'a Name, &'a Relation);

/// A name with the relation on either side.
pub type Difference<'a> = (&'a Name, Option<&'a Relation>, Option<&'a Relation>);

impl Relations {
    /// No relations.
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, name: &Name) -> Result<(usize, usize), (usize, usize)> {
        find(&self.chunks, name)
    }

    pub(super) fn entry(&self, name: &Name) -> Option<&Entry> {
        entry(&self.chunks, name)
    }

    /// The relation of that name.
    pub fn get(&self, name: &Name) -> Option<&Relation> {
        self.entry(name).map(|entry| &entry.1)
    }

    /// The relation of that name, to be changed.
    pub fn get_mut(&mut self, name: &Name) -> Option<&mut Relation> {
        let (at, place) = self.find(name).ok()?;
        self.change(name);
        let chunk = Arc::make_mut(Arc::make_mut(&mut self.chunks).get_mut(at)?);
        chunk.get_mut(place).map(|entry| &mut Arc::make_mut(entry).1)
    }

    /// The relation with the key it is stored under.
    pub fn get_key_value(&self, name: &Name) -> Option<Pair<'_>> {
        self.entry(name).map(|entry| (&entry.0, &entry.1))
    }

    /// Whether there is a relation of that name.
    pub fn contains_key(&self, name: &Name) -> bool {
        self.find(name).is_ok()
    }

    /// Puts a relation in; returns the one that had the name.
    pub fn insert(&mut self, name: Name, relation: Relation) -> Option<Relation> {
        self.change(&name);
        let found = self.find(&name);
        let chunks = Arc::make_mut(&mut self.chunks);
        let entry = Arc::new((name, relation));
        match found {
            Ok((at, place)) => {
                let entries = Arc::make_mut(chunks.get_mut(at)?);
                let old = std::mem::replace(entries.get_mut(place)?, entry);
                Some(Arc::unwrap_or_clone(old).1)
            }
            Err((at, place)) => {
                match chunks.get_mut(at) {
                    Some(chunk) => {
                        let entries = Arc::make_mut(chunk);
                        entries.insert(place, entry);
                        if entries.len() > CHUNK {
                            // What comes in order leaves full chunks behind.
                            let half = if place == CHUNK { CHUNK } else { CHUNK / 2 };
                            let rest = entries.split_off(half);
                            chunks.insert(at + 1, Arc::new(rest));
                        }
                    }
                    None => chunks.push(Arc::new(vec![entry])),
                }
                None
            }
        }
    }

    /// Takes a relation out.
    pub fn remove(&mut self, name: &Name) -> Option<Relation> {
        let (at, place) = self.find(name).ok()?;
        self.change(name);
        let chunks = Arc::make_mut(&mut self.chunks);
        let entries = Arc::make_mut(chunks.get_mut(at)?);
        let old = entries.remove(place);
        if entries.is_empty() {
            chunks.remove(at);
        }
        Some(Arc::unwrap_or_clone(old).1)
    }

    /// Keeps those that the test accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &Relation) -> bool) {
        let gone: Vec<Name> =
            self.iter().filter(|(name, relation)| !keep(name, relation)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.remove(&name);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// All, in the order of names.
    pub fn iter<'a>(&'a self) -> Iter<'a> {
        let entries: fn(&'a Chunk) -> std::slice::Iter<'a, Entry> = |chunk| chunk.iter();
        let pair: fn(&'a Entry) -> Pair<'a> = |entry| (&entry.0, &entry.1);
        self.chunks.iter().flat_map(entries).map(pair)
    }

    /// Names in order.
    pub fn keys(&self) -> impl Iterator<Item = &Name> + Clone {
        self.iter().map(|(name, _)| name)
    }

    /// The relations of one schema, without looking at the others.
    pub fn in_schema<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = Pair<'a>> {
        let (Ok((at, place)) | Err((at, place))) = self.find(&Name::new(schema, ""));
        let chunks = self.chunks.get(at..).unwrap_or_default();
        let entries = chunks.iter().flat_map(|chunk| chunk.iter()).skip(place);
        entries.map(|entry| (&entry.0, &entry.1)).take_while(move |(name, _)| name.schema == schema)
    }

    /// Relations in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Relation> + Clone {
        self.iter().map(|(_, relation)| relation)
    }

    /// Relations to be changed: none is shared with a copy any more.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Relation> {
        self.references = References::default();
        let chunks = Arc::make_mut(&mut self.chunks).iter_mut();
        chunks.flat_map(|chunk| Arc::make_mut(chunk).iter_mut()).map(|entry| &mut Arc::make_mut(entry).1)
    }

    /// Number of relations.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The relations whose definitions hold that name, in the order of their names: the indexes, partitions, views,
    /// sequences of a table, whatever has a foreign key to it; the columns of a type; the callers of a function.
    /// Costs what it finds, not what there is.
    pub fn referring_to<'a>(&'a self, name: &Name) -> impl Iterator<Item = Pair<'a>> + use<'a> {
        self.references.to(name, self).into_iter().map(|entry| (&entry.0, &entry.1))
    }

    /// Whether a relation of the schema has a constraint of that name.
    pub fn has_constraint(&self, schema: &str, name: &str) -> bool {
        self.references.has_constraint(schema, name, self)
    }

    /// Where two maps differ, in the order of names: relations that only one of them has, and pairs that are not
    /// shared (but may be equal). Costs what differs when one is a changed copy of the other.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Difference<'a>> {
        let mut here = Cursor { chunks: &self.chunks, place: 0 };
        let mut there = Cursor { chunks: &other.chunks, place: 0 };
        if Arc::ptr_eq(&self.chunks, &other.chunks) {
            (here.chunks, there.chunks) = (&[], &[]);
        }
        std::iter::from_fn(move || {
            loop {
                if let (Some(one), Some(other)) = (here.whole(), there.whole())
                    && Arc::ptr_eq(one, other)
                {
                    here.skip();
                    there.skip();
                    continue;
                }
                match (here.peek(), there.peek()) {
                    (None, None) => return None,
                    (Some(one), Some(other)) if one.0 == other.0 => {
                        here.advance();
                        there.advance();
                        if !Arc::ptr_eq(one, other) {
                            return Some((&one.0, Some(&one.1), Some(&other.1)));
                        }
                    }
                    (Some(one), other) if other.is_none_or(|other| one.0 < other.0) => {
                        here.advance();
                        return Some((&one.0, Some(&one.1), None));
                    }
                    (_, Some(other)) => {
                        there.advance();
                        return Some((&other.0, None, Some(&other.1)));
                    }
                    (Some(_), None) => return None,
                }
            }
        })
    }

    /// Takes note of a change to come.
    fn change(&mut self, name: &Name) {
        if self.references.are_shared() {
            self.references.settle(self);
        }
        let chunks = &self.chunks;
        self.references.change(name, |name| entry(chunks, name));
    }
}

/// Where the name is, or where it would be: the chunk, and the place in it.
fn find(chunks: &[Chunk], name: &Name) -> Result<(usize, usize), (usize, usize)> {
    let after = chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first.0 <= *name));
    let at = after.saturating_sub(1);
    let chunk = chunks.get(at).map_or(&[][..], |chunk| chunk);
    match chunk.binary_search_by(|entry| entry.0.cmp(name)) {
        Ok(place) => Ok((at, place)),
        Err(place) => Err((at, place)),
    }
}

fn entry<'a>(chunks: &'a [Chunk], name: &Name) -> Option<&'a Entry> {
    let (at, place) = find(chunks, name).ok()?;
    chunks.get(at)?.get(place)
}

/// A place in the list.
struct Cursor<'a> {
    chunks: &'a [Chunk],
    place: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a Entry> {
        self.chunks.first()?.get(self.place)
    }

    /// The chunk that begins here.
    fn whole(&self) -> Option<&'a Chunk> {
        self.chunks.first().filter(|_| self.place == 0)
    }

    fn skip(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.place = 0;
    }

    fn advance(&mut self) {
        self.place += 1;
        if self.chunks.first().is_some_and(|chunk| self.place == chunk.len()) {
            self.skip();
        }
    }
}

/// What [`Relations::iter`] returns.
pub type Iter<'a> = std::iter::Map<
    std::iter::FlatMap<
        std::slice::Iter<'a, Chunk>,
        std::slice::Iter<'a, Entry>,
        fn(&'a Chunk) -> std::slice::Iter<'a, Entry>,
    >,
    fn(&'a Entry) -> Pair<'a>,
>;

impl<'a> IntoIterator for &'a Relations {
    type Item = Pair<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<(Name, Relation)> for Relations {
    fn from_iter<I: IntoIterator<Item = (Name, Relation)>>(items: I) -> Self {
        let mut entries: Vec<Entry> = items.into_iter().map(Arc::new).collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        // Of several with one name the last is meant, as in any map.
        entries.dedup_by(|later, earlier| {
            later.0 == earlier.0 && {
                std::mem::swap(later, earlier);
                true
            }
        });
        let chunks = entries.chunks(CHUNK).map(|chunk| Arc::new(chunk.to_vec())).collect();
        Self { chunks: Arc::new(chunks), references: References::default() }
    }
}

impl std::ops::Index<&Name> for Relations {
    type Output = Relation;

    /// As a map's: for names that are known to be there.
    #[allow(clippy::expect_used)]
    fn index(&self, name: &Name) -> &Relation {
        self.get(name).expect("no such relation")
    }
}

impl Serialize for Relations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Relations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<Name, Relation>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::RelationKind;

    fn table(owner: &str) -> Relation {
        Relation::new(RelationKind::Table, owner)
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let name = Name::new("s", "t");
        let mut one = Relations::new();
        one.insert(name.clone(), table("o"));
        let copy = one.clone();
        one.get_mut(&name).unwrap().owner = "p".to_owned();
        one.insert(Name::new("s", "u"), Relation::new(RelationKind::View, "o"));
        assert_eq!((copy[&name].owner.as_str(), copy.len()), ("o", 1));
        assert_ne!(one, copy);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Relations>(&text).unwrap(), one);
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u16, u16),
        Edit(u16, u16),
        Remove(u16),
        Copy,
        Ask(u16),
    }

    fn change() -> impl Strategy<Value = Change> {
        let number = || 0_u16..200;
        prop_oneof![
            8 => (number(), number()).prop_map(|(name, parent)| Change::Insert(name, parent)),
            4 => (number(), number()).prop_map(|(name, parent)| Change::Edit(name, parent)),
            4 => number().prop_map(Change::Remove),
            1 => Just(Change::Copy),
            2 => number().prop_map(Change::Ask),
        ]
    }

    fn name(number: u16) -> Name {
        Name::new(if number.is_multiple_of(3) { "a" } else { "b" }, format!("t{number}"))
    }

    fn child(parent: u16) -> Relation {
        let mut child = table("o");
        child.parents.push(name(parent));
        child
    }

    /// The same by looking at everything.
    fn referring(map: &BTreeMap<Name, Relation>, to: &Name) -> Vec<Name> {
        map.iter().filter(|(_, relation)| relation.parents.contains(to)).map(|(name, _)| name.clone()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn is_a_map_that_knows_who_refers_to_whom(changes in proptest::collection::vec(change(), 1..600)) {
            let mut map = BTreeMap::new();
            let mut relations = Relations::new();
            let mut copies = Vec::new();
            for change in changes {
                match change {
                    Change::Insert(at, parent) => {
                        prop_assert_eq!(relations.insert(name(at), child(parent)), map.insert(name(at), child(parent)));
                    }
                    Change::Edit(at, parent) => {
                        let found = relations.get_mut(&name(at)).map(|found| *found = child(parent));
                        prop_assert_eq!(found, map.get_mut(&name(at)).map(|found| *found = child(parent)));
                    }
                    Change::Remove(at) => prop_assert_eq!(relations.remove(&name(at)), map.remove(&name(at))),
                    Change::Copy => copies.push((relations.clone(), map.clone())),
                    Change::Ask(to) => {
                        let to = name(to);
                        let found: Vec<Name> = relations.referring_to(&to).map(|(name, _)| name.clone()).collect();
                        prop_assert_eq!(found, referring(&map, &to));
                    }
                }
            }
            copies.push((relations.clone(), map.clone()));
            for (copy, expected) in &copies {
                prop_assert!(copy.iter().eq(expected));
                prop_assert_eq!(copy.len(), expected.len());
                for schema in ["a", "b", "c"] {
                    let wanted = expected.iter().filter(|(name, _)| name.schema == schema);
                    prop_assert!(copy.in_schema(schema).eq(wanted));
                }
                for number in 0..200 {
                    let name = name(number);
                    prop_assert_eq!(copy.get_key_value(&name), expected.get_key_value(&name));
                    let found: Vec<Name> = copy.referring_to(&name).map(|(name, _)| name.clone()).collect();
                    prop_assert_eq!(found, referring(expected, &name));
                }
                let told: Vec<_> =
                    copy.differences(&relations).filter(|(_, one, other)| one != other).map(|(name, ..)| name).collect();
                let mut all: Vec<&Name> = expected.keys().chain(map.keys()).collect();
                all.sort();
                all.dedup();
                let wanted: Vec<_> = all.into_iter().filter(|name| expected.get(*name) != map.get(*name)).collect();
                prop_assert_eq!(told, wanted);
            }
        }
    }
}
