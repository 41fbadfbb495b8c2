//! The relations of a catalog: a map that is copied in an instant, because copies share what neither has changed.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, Relation};

/// Relations by name, in the order of names. A copy shares everything with the original; a change copies the map
/// of names once, and then only the relation that it changes. So a plan can keep the catalog before and after
/// each of its steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Relations(Arc<BTreeMap<Name, Arc<Relation>>>);

impl PartialEq for Relations {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &Arc<Relation>, other: &Arc<Relation>| Arc::ptr_eq(one, other) || one == other;
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.len() == other.0.len()
                && self
                    .0
                    .iter()
                    .zip(&*other.0)
                    .all(|((name, one), (other_name, other))| name == other_name && same(one, other))
    }
}

type Pair<'a> = (&'a Name, &'a Relation);
type PairMut<'a> = (&'a Name, &'a mut Relation);

/// What [`Relations::iter`] returns.
pub type Iter<'a> =
    std::iter::Map<btree_map::Iter<'a, Name, Arc<Relation>>, fn((&'a Name, &'a Arc<Relation>)) -> Pair<'a>>;
type IterMut<'a> =
    std::iter::Map<btree_map::IterMut<'a, Name, Arc<Relation>>, fn((&'a Name, &'a mut Arc<Relation>)) -> PairMut<'a>>;

impl Relations {
    /// No relations.
    pub fn new() -> Self {
        Self::default()
    }

    /// The relation of that name.
    pub fn get<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&Relation>
    where
        Name: Borrow<Q>,
    {
        self.0.get(name).map(|shared| &**shared)
    }

    /// The relation of that name, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<&mut Relation>
    where
        Name: Borrow<Q>,
    {
        // Looking first: a name that is not there is no reason to copy the map.
        if !self.0.contains_key(name) {
            return None;
        }
        Arc::make_mut(&mut self.0).get_mut(name).map(Arc::make_mut)
    }

    /// The relation with the key it is stored under.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, name: &Q) -> Option<Pair<'_>>
    where
        Name: Borrow<Q>,
    {
        self.0.get_key_value(name).map(|(name, shared)| (name, &**shared))
    }

    /// Whether there is a relation of that name.
    pub fn contains_key<Q: Ord + ?Sized>(&self, name: &Q) -> bool
    where
        Name: Borrow<Q>,
    {
        self.0.contains_key(name)
    }

    /// Puts a relation in; returns the one that had the name.
    pub fn insert(&mut self, name: Name, relation: Relation) -> Option<Relation> {
        let old = Arc::make_mut(&mut self.0).insert(name, Arc::new(relation));
        old.map(Arc::unwrap_or_clone)
    }

    /// Takes a relation out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<Relation>
    where
        Name: Borrow<Q>,
    {
        if !self.0.contains_key(name) {
            return None;
        }
        Arc::make_mut(&mut self.0).remove(name).map(Arc::unwrap_or_clone)
    }

    /// Keeps those that the test accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &Relation) -> bool) {
        Arc::make_mut(&mut self.0).retain(|name, shared| keep(name, shared));
    }

    /// All, in the order of names.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|(name, shared)| (name, &**shared))
    }

    /// All, to be changed: none is shared with a copy any more.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = PairMut<'_>> {
        self.into_iter()
    }

    /// Names in order.
    pub fn keys(&self) -> btree_map::Keys<'_, Name, Arc<Relation>> {
        self.0.keys()
    }

    /// The relations of one schema, without looking at the others.
    pub fn in_schema<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = Pair<'a>> {
        let from = self.0.range(Name::new(schema, "")..);
        from.take_while(move |(name, _)| name.schema == schema).map(|(name, relation)| (name, &**relation))
    }

    /// Relations in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Relation> + ExactSizeIterator + Clone {
        self.0.values().map(|shared| &**shared)
    }

    /// Relations to be changed: none is shared with a copy any more.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Relation> {
        self.into_iter().map(|(_, relation)| relation)
    }

    /// Number of relations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Relations {
    type Item = Pair<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Relations {
    type Item = PairMut<'a>;
    type IntoIter = IterMut<'a>;

    fn into_iter(self) -> IterMut<'a> {
        Arc::make_mut(&mut self.0).iter_mut().map(|(name, shared)| (name, Arc::make_mut(shared)))
    }
}

impl FromIterator<(Name, Relation)> for Relations {
    fn from_iter<I: IntoIterator<Item = (Name, Relation)>>(items: I) -> Self {
        Self(Arc::new(items.into_iter().map(|(name, relation)| (name, Arc::new(relation))).collect()))
    }
}

impl Extend<(Name, Relation)> for Relations {
    fn extend<I: IntoIterator<Item = (Name, Relation)>>(&mut self, items: I) {
        let items = items.into_iter().map(|(name, relation)| (name, Arc::new(relation)));
        Arc::make_mut(&mut self.0).extend(items);
    }
}

impl std::ops::Index<&Name> for Relations {
    type Output = Relation;

    /// As a map's: for names that are known to be there.
    fn index(&self, name: &Name) -> &Relation {
        &self.0[name]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::RelationKind;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let name = Name::new("s", "t");
        let mut one = Relations::new();
        one.insert(name.clone(), Relation::new(RelationKind::Table, "o"));
        let copy = one.clone();
        one.get_mut(&name).unwrap().owner = "p".to_owned();
        one.insert(Name::new("s", "u"), Relation::new(RelationKind::View, "o"));
        assert_eq!((copy[&name].owner.as_str(), copy.len()), ("o", 1));
        assert_ne!(one, copy);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Relations>(&text).unwrap(), one);
    }
}
