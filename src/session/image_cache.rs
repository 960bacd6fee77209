//! Embeddings of recent pictures, so that asking again does not encode again.

use super::history::ImageId;
use crate::runtime::ImageEmbedding;
use std::{collections::VecDeque, sync::Arc};

/// Least recently used embeddings leave when the limit is exceeded.
pub(super) struct ImageCache {
    limit: usize,
    /// Oldest use first. Few entries of many megabytes each: a scan is cheap.
    entries: VecDeque<(ImageId, Arc<ImageEmbedding>)>,
}

impl ImageCache {
    /// A cache of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: VecDeque::new(),
        }
    }

    pub(super) fn get(&mut self, id: ImageId) -> Option<Arc<ImageEmbedding>> {
        let at = self.entries.iter().position(|(known, _)| *known == id)?;
        let entry = self.entries.remove(at)?;
        let embedding = entry.1.clone();
        self.entries.push_back(entry);
        Some(embedding)
    }

    pub(super) fn insert(&mut self, id: ImageId, embedding: Arc<ImageEmbedding>) {
        self.entries.push_back((id, embedding));
        while self.n_bytes() > self.limit {
            self.entries.pop_front();
        }
    }

    fn n_bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|(_, e)| size_of_val(e.values.as_slice()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::Patches;

    #[test]
    fn the_least_recently_used_picture_leaves_first() {
        let embedding = Arc::new(ImageEmbedding {
            grid: Patches { rows: 1, cols: 1 },
            values: vec![0.0; 10],
        });
        let mut cache = ImageCache::new(80);
        cache.insert(1, embedding.clone());
        cache.insert(2, embedding.clone());
        assert!(cache.get(1).is_some());
        cache.insert(3, embedding);
        assert!(cache.get(2).is_none());
        assert!(cache.get(1).is_some() && cache.get(3).is_some());
    }
}
