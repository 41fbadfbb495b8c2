//! From hashes to relations: an ordered list that is copied in an instant, because copies share what neither has
//! changed.

use std::sync::Arc;

use super::Name;
use super::relations::Entry;

type Pair = (u64, Entry);

/// Pairs of a chunk at most.
const CHUNK: usize = 64;

/// Relations by hash, those of one hash in the order of their names, each once. A change copies a short piece of the
/// list, however many relations have the hash.
#[derive(Clone, Default)]
pub(super) struct HashIndex {
    /// Never empty ones.
    chunks: Arc<Vec<Arc<Vec<Pair>>>>,
}

impl HashIndex {
    /// Of pairs that come in the order of names.
    pub(super) fn new(mut pairs: Vec<Pair>) -> Self {
        // Stable: those of one hash stay in order.
        pairs.sort_by_key(|(hash, _)| *hash);
        pairs.dedup_by(|one, other| one.0 == other.0 && one.1.0 == other.1.0);
        Self { chunks: Arc::new(pairs.chunks(CHUNK).map(|chunk| Arc::new(chunk.to_vec())).collect()) }
    }

    /// Where the pair is, or where it would be: the chunk, and the place in it.
    fn find(&self, hash: u64, name: &Name) -> Result<(usize, usize), (usize, usize)> {
        let order = |pair: &Pair| pair.0.cmp(&hash).then_with(|| pair.1.0.cmp(name));
        let after = self.chunks.partition_point(|chunk| chunk.first().is_some_and(|first| order(first).is_le()));
        let at = after.saturating_sub(1);
        let chunk = self.chunks.get(at).map_or(&[][..], |chunk| chunk);
        chunk.binary_search_by(order).map(|place| (at, place)).map_err(|place| (at, place))
    }

    /// Adds a relation under the hash.
    pub(super) fn insert(&mut self, hash: u64, entry: &Entry) {
        let found = self.find(hash, &entry.0);
        let chunks = Arc::make_mut(&mut self.chunks);
        let pair = (hash, Arc::clone(entry));
        match found {
            Ok((at, place)) => {
                if let Some(old) = chunks.get_mut(at).and_then(|chunk| Arc::make_mut(chunk).get_mut(place)) {
                    *old = pair;
                }
            }
            Err((at, place)) => match chunks.get_mut(at) {
                Some(chunk) => {
                    let pairs = Arc::make_mut(chunk);
                    pairs.insert(place, pair);
                    if pairs.len() > CHUNK {
                        let rest = pairs.split_off(CHUNK / 2);
                        chunks.insert(at + 1, Arc::new(rest));
                    }
                }
                None => chunks.push(Arc::new(vec![pair])),
            },
        }
    }

    /// Takes the relation of that name out from under the hash.
    pub(super) fn remove(&mut self, hash: u64, name: &Name) {
        let Ok((at, place)) = self.find(hash, name) else { return };
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(chunk) = chunks.get_mut(at) {
            let pairs = Arc::make_mut(chunk);
            pairs.remove(place);
            if pairs.is_empty() {
                chunks.remove(at);
            }
        }
    }

    /// The relations under the hash, in the order of their names.
    pub(super) fn get(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        let after = self.chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first.0 < hash));
        let pairs = self.chunks.iter().skip(after.saturating_sub(1)).flat_map(|chunk| chunk.iter());
        pairs.skip_while(move |pair| pair.0 < hash).take_while(move |pair| pair.0 == hash).map(|(_, entry)| entry)
    }
}
