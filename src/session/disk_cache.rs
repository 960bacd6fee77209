//! Embeddings of pictures in files, for later runs and other processes. A cache is a convenience:
//! whatever goes wrong with it, a picture is encoded as if there were none, and nobody is told.

use super::{
    history::ImageId,
    sealed::{Format, OVERHEAD, Sealed, SealedWriter},
};
use crate::{
    Error, ErrorKind, Result,
    gguf::partial_path,
    preprocess::Patches,
    runtime::{ImageEmbedding, Model},
};
use std::{
    fs::{self, DirEntry},
    path::{Path, PathBuf},
    time::SystemTime,
};
use xxhash_rust::xxh3::Xxh3;

const FORMAT: Format = Format {
    magic: *b"PIXTEMBD",
    version: 1,
    name: "a picture's embedding",
};

/// End of the name of an embedding's file; the rest is a hash in hexadecimal digits.
const EXTENSION: &str = "embedding";

/// Values written or read at once.
const STEP: usize = 1 << 14;

/// A folder of embeddings made by one vision tower. Others' are there too, under other names.
pub(super) struct DiskCache {
    folder: PathBuf,
    /// Most bytes of all embeddings in the folder together.
    limit: u64,
    /// Identity of the vision tower.
    tower: u128,
    /// Values of one patch.
    dim: usize,
}

impl DiskCache {
    /// The embeddings of `model` in `folder`; `None` if the model's weights have no identity.
    pub(super) fn new(folder: PathBuf, limit: u64, model: &Model) -> Option<Self> {
        Some(Self {
            folder,
            limit,
            tower: model.vision_fingerprint()?,
            dim: model.config().text.embedding_length as usize,
        })
    }

    /// The embedding of picture `id`, which has the grid `grid`, if it is there and sound. Using
    /// it makes it the most recent one; damaged ones are removed.
    pub(super) fn load(&self, id: ImageId, grid: Patches) -> Option<ImageEmbedding> {
        let path = self.path(id);
        match self.read(&path, id, grid) {
            Ok(embedding) => {
                let file = fs::File::options().write(true).open(&path);
                _ = file.and_then(|file| file.set_modified(SystemTime::now()));
                Some(embedding)
            }
            Err(e) => {
                if matches!(
                    e.kind(),
                    ErrorKind::InvalidFile | ErrorKind::ChecksumMismatch
                ) {
                    _ = fs::remove_file(&path);
                }
                None
            }
        }
    }

    /// Keeps the embedding of picture `id`, if that is possible and it is not larger than the
    /// limit.
    pub(super) fn store(&self, id: ImageId, embedding: &ImageEmbedding) {
        _ = self.write(id, embedding);
    }

    fn path(&self, id: ImageId) -> PathBuf {
        let mut hash = Xxh3::new();
        hash.update(&FORMAT.version.to_le_bytes());
        hash.update(&self.tower.to_le_bytes());
        hash.update(&id.to_le_bytes());
        self.folder
            .join(format!("{:032x}.{EXTENSION}", hash.digest128()))
    }

    /// What stands before the values: whose embedding it is, and its shape.
    fn head(&self, id: ImageId, grid: Patches) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend(self.tower.to_le_bytes());
        head.extend(id.to_le_bytes());
        head.extend(grid.rows.to_le_bytes());
        head.extend(grid.cols.to_le_bytes());
        head.extend((self.dim as u64).to_le_bytes());
        head
    }

    fn read(&self, path: &Path, id: ImageId, grid: Patches) -> Result<ImageEmbedding> {
        let file = Sealed::open(path, &FORMAT)?;
        let mut body = file.body();
        let head = self.head(id, grid);
        let other = || Error::new(ErrorKind::InvalidFile, "is of another picture or model");
        if body.take(head.len() as u64, "head")? != head {
            return Err(other());
        }
        let (values, rest) = body.rest().as_chunks();
        if values.len() != grid.n_patches() * self.dim || !rest.is_empty() {
            return Err(other());
        }
        Ok(ImageEmbedding {
            grid,
            values: values.iter().map(|v| f32::from_le_bytes(*v)).collect(),
        })
    }

    fn write(&self, id: ImageId, embedding: &ImageEmbedding) -> Result<()> {
        let head = self.head(id, embedding.grid);
        let values = embedding.values.as_slice();
        let n_bytes = OVERHEAD + head.len() as u64 + size_of_val(values) as u64;
        if n_bytes > self.limit {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, "create", e))?;
        self.make_room(n_bytes)?;
        let mut file = SealedWriter::create(&self.path(id), &FORMAT)?;
        file.put(&head)?;
        let mut bytes = Vec::with_capacity(4 * STEP);
        for part in values.chunks(STEP) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
            file.put(&bytes)?;
        }
        file.finish()
    }

    /// Removes what was not used for longest until `needed` bytes fit. Other processes do the
    /// same at the same time: what is gone already is no matter.
    fn make_room(&self, needed: u64) -> Result<()> {
        let entries = fs::read_dir(&self.folder).map_err(|e| Error::io(&self.folder, "read", e))?;
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter(is_embedding)
            .filter_map(|entry| {
                let about = entry.metadata().ok()?;
                Some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut used: u64 = files.iter().map(|(_, n_bytes, _)| n_bytes).sum();
        for (_, n_bytes, path) in files {
            if used + needed <= self.limit {
                break;
            }
            _ = fs::remove_file(path);
            used -= n_bytes;
        }
        Ok(())
    }
}

/// Whether a file is one of ours, complete or not: the folder may be one that somebody uses for
/// other things as well.
fn is_embedding(entry: &DirEntry) -> bool {
    let path = PathBuf::from(entry.file_name());
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let Some(hash) = stem.and_then(|stem| stem.get(..32)) else {
        return false;
    };
    let complete = Path::new(hash).with_extension(EXTENSION);
    hash.bytes().all(|b| b.is_ascii_hexdigit())
        && (path == complete || path == partial_path(&complete))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const GRID: Patches = Patches { rows: 2, cols: 3 };
    const DIM: usize = 5;
    /// Bytes of one embedding's file.
    const ONE: u64 = OVERHEAD + 48 + 4 * 6 * 5;

    fn cache(folder: &Path, n: u64) -> DiskCache {
        DiskCache {
            folder: folder.to_owned(),
            limit: n * ONE,
            tower: 7,
            dim: DIM,
        }
    }

    fn embedding(value: f32) -> ImageEmbedding {
        ImageEmbedding {
            grid: GRID,
            values: vec![value; GRID.n_patches() * DIM],
        }
    }

    /// Says that picture `id` was used `age` seconds ago.
    fn age(cache: &DiskCache, id: ImageId, age: u64) {
        let file = fs::File::options().write(true).open(cache.path(id));
        let then = SystemTime::now() - Duration::from_secs(age);
        file.unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn an_embedding_comes_back_exactly_to_its_own_tower_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("made/when needed"), 9);
        cache.store(1, &embedding(0.1));
        assert_eq!(cache.load(1, GRID).unwrap().values, embedding(0.1).values);
        assert_eq!(fs::metadata(cache.path(1)).unwrap().len(), ONE);
        assert!(cache.load(2, GRID).is_none());
        let other = DiskCache { tower: 8, ..cache };
        assert!(other.load(1, GRID).is_none());
    }

    #[test]
    fn the_least_recently_used_picture_leaves_first_and_foreign_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("notes.embedding");
        fs::write(&foreign, [0; 1000]).unwrap();
        let cache = cache(folder.path(), 2);
        cache.store(1, &embedding(1.0));
        age(&cache, 1, 200);
        cache.store(2, &embedding(2.0));
        age(&cache, 2, 100);
        assert!(cache.load(1, GRID).is_some());
        cache.store(3, &embedding(3.0));
        assert!(cache.load(2, GRID).is_none());
        assert!(cache.load(1, GRID).is_some() && cache.load(3, GRID).is_some());
        assert!(foreign.exists());
    }

    #[test]
    fn an_embedding_larger_than_the_limit_is_not_kept_and_removes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1);
        cache.store(1, &embedding(1.0));
        let grid = Patches { rows: 20, cols: 30 };
        let large = ImageEmbedding {
            grid,
            values: vec![0.0; grid.n_patches() * DIM],
        };
        cache.store(2, &large);
        assert!(cache.load(2, grid).is_none());
        assert!(cache.load(1, GRID).is_some());
    }

    #[test]
    fn every_damage_is_a_miss_and_the_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 9);
        cache.store(1, &embedding(1.0));
        let path = cache.path(1);
        let whole = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|n| whole[..n].to_vec()).collect();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            damaged.push(bytes);
        }
        for bytes in damaged {
            fs::write(&path, bytes).unwrap();
            assert!(cache.load(1, GRID).is_none());
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_sound_file_of_another_picture_under_this_name_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 9);
        cache.store(1, &embedding(1.0));
        fs::copy(cache.path(1), cache.path(2)).unwrap();
        assert!(cache.load(2, GRID).is_none());
        assert!(cache.load(1, Patches { rows: 3, cols: 2 }).is_none());
    }

    #[test]
    fn leftovers_of_a_crash_count_and_leave() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 2);
        let leftover = partial_path(cache.path(1));
        fs::write(&leftover, vec![0; 2 * ONE as usize]).unwrap();
        cache.store(2, &embedding(2.0));
        assert!(!leftover.exists());
        assert!(cache.load(2, GRID).is_some());
    }
}
