//! Embeddings of recent pictures, so that asking again does not encode again: in memory, and in
//! files for later runs.

use super::{disk_cache::DiskCache, history::ImageId};
use crate::{preprocess::Patches, runtime::ImageEmbedding};
use std::{collections::VecDeque, sync::Arc};

/// Least recently used embeddings leave memory when the limit is exceeded.
pub(super) struct ImageCache {
    limit: usize,
    /// Oldest use first. Few entries of many megabytes each: a scan is cheap.
    entries: VecDeque<(ImageId, Arc<ImageEmbedding>)>,
    files: Option<DiskCache>,
}

impl ImageCache {
    /// A cache of at most `limit` bytes in memory, and of `files` if there are any.
    pub(super) fn new(limit: usize, files: Option<DiskCache>) -> Self {
        Self {
            limit,
            entries: VecDeque::new(),
            files,
        }
    }

    /// The embedding of picture `id`, which has the grid `grid`, if it is known.
    pub(super) fn get(&mut self, id: ImageId, grid: Patches) -> Option<Arc<ImageEmbedding>> {
        if let Some(embedding) = self.recall(id) {
            return Some(embedding);
        }
        let embedding = Arc::new(self.files.as_ref()?.load(id, grid)?);
        self.remember(id, embedding.clone());
        Some(embedding)
    }

    /// Keeps what was computed for picture `id`.
    pub(super) fn insert(&mut self, id: ImageId, embedding: Arc<ImageEmbedding>) {
        if let Some(files) = &self.files {
            files.store(id, &embedding);
        }
        self.remember(id, embedding);
    }

    fn recall(&mut self, id: ImageId) -> Option<Arc<ImageEmbedding>> {
        let at = self.entries.iter().position(|(known, _)| *known == id)?;
        let entry = self.entries.remove(at)?;
        let embedding = entry.1.clone();
        self.entries.push_back(entry);
        Some(embedding)
    }

    fn remember(&mut self, id: ImageId, embedding: Arc<ImageEmbedding>) {
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

    #[test]
    fn the_least_recently_used_picture_leaves_first() {
        let grid = Patches { rows: 1, cols: 1 };
        let embedding = Arc::new(ImageEmbedding {
            grid,
            values: vec![0.0; 10],
        });
        let mut cache = ImageCache::new(80, None);
        cache.insert(1, embedding.clone());
        cache.insert(2, embedding.clone());
        assert!(cache.get(1, grid).is_some());
        cache.insert(3, embedding);
        assert!(cache.get(2, grid).is_none());
        assert!(cache.get(1, grid).is_some() && cache.get(3, grid).is_some());
    }
}
