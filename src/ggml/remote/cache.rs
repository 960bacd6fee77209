//! A worker's store of weights on disk, by hash, so that a model that was here before is not sent
//! again. Files are complete or absent, and believed only after their hash; a store that cannot be
//! written keeps nothing.

use crate::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A folder of pieces of weights, each called by its hash in 16 hexadecimal digits, as ggml's own
/// server does it. Several workers may share one.
pub(super) struct Store {
    folder: PathBuf,
    /// Most bytes in the folder. What was not used for longest goes first.
    limit: u64,
}

impl Store {
    /// The store in `folder`, which is made if it is not there.
    pub(super) fn open(folder: &Path, limit: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
        Ok(Self {
            folder: folder.to_owned(),
            limit,
        })
    }

    /// Appends the bytes whose hash is `hash` to `out`. False, and nothing appended, if they are not
    /// here or not what they were.
    pub(super) fn load(&self, hash: u64, out: &mut Vec<u8>) -> bool {
        let (path, start) = (self.path(hash), out.len());
        let read = |out: &mut Vec<u8>| -> io::Result<()> {
            let mut file = File::open(&path)?;
            file.read_to_end(out)?;
            // Only to know what was used last.
            _ = file.set_modified(SystemTime::now());
            Ok(())
        };
        if read(out).is_ok() && fnv1a(&out[start..]) == hash {
            return true;
        }
        out.truncate(start);
        _ = fs::remove_file(&path);
        false
    }

    /// Keeps `data`, if there is room and the disk allows it.
    pub(super) fn keep(&self, data: &[u8]) {
        let path = self.path(fnv1a(data));
        if data.len() as u64 > self.limit || path.exists() {
            return;
        }
        self.make_room(data.len() as u64);
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        let written = fs::write(&partial, data).and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            _ = fs::remove_file(&partial);
        }
    }

    /// Removes files, the ones not used for longest first, until `n_bytes` more fit.
    fn make_room(&self, n_bytes: u64) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let about = entry.metadata().ok()?;
                let ours = is_name(&entry.file_name().to_string_lossy());
                ours.then_some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total + n_bytes <= self.limit {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }

    fn path(&self, hash: u64) -> PathBuf {
        self.folder.join(format!("{hash:016x}"))
    }
}

fn is_name(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The hash by which ggml's protocol asks for bytes: FNV-1a of 64 bits.
fn fnv1a(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // From the algorithm's published test vectors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn bytes_come_back_only_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1000).unwrap();
        store.keep(b"weights");
        let hash = fnv1a(b"weights");
        let mut out = b"before ".to_vec();
        assert!(store.load(hash, &mut out));
        assert_eq!(out, b"before weights");
        assert!(!store.load(hash + 1, &mut out));

        fs::write(store.path(hash), b"weight").unwrap();
        assert!(!store.load(hash, &mut out));
        assert_eq!(out, b"before weights");
        assert!(!store.path(hash).exists());
    }

    #[test]
    fn the_store_stays_within_its_limit_and_forgets_what_is_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 100).unwrap();
        let piece = |i: u8| vec![i; 40];
        let mut out = Vec::new();
        for i in 0..2 {
            store.keep(&piece(i));
            let age = SystemTime::now() - std::time::Duration::from_secs(60 - u64::from(i));
            let file = File::options()
                .append(true)
                .open(store.path(fnv1a(&piece(i))));
            file.unwrap().set_modified(age).unwrap();
        }
        assert!(store.load(fnv1a(&piece(0)), &mut out));
        store.keep(&piece(2));
        let known = |i: u8| store.path(fnv1a(&piece(i))).exists();
        assert_eq!([known(0), known(1), known(2)], [true, false, true]);
        store.keep(&[7; 101]);
        assert!(!store.path(fnv1a(&[7; 101])).exists());
    }
}
