//! Whether a file system gives a mapped file's pages as huge ones: a few are loaded anew, and the
//! system is asked how it has mapped them.

use crate::gguf::{Advice, File};
use std::fs;

/// Places of the file that may be looked at.
const N_PLACES: u64 = 8;

/// How many of them are loaded from the disk: a few milliseconds on most.
const N_LOADED: u64 = 2;

/// Whether `file`'s pages are mapped as huge ones when they are loaded; `None` where the system does
/// not say, or if other processes keep the pages that would be loaded.
///
/// Pages that are in memory already tell nothing: how they were written decides their size.
pub(super) fn huge_pages(file: &File) -> Option<bool> {
    let page: u64 = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let n_pages = file.bytes().len() as u64 / page;
    let mut n_loaded = 0;
    for i in 0..N_PLACES {
        let start = i * (n_pages / N_PLACES) * page;
        let range = start..start + page;
        file.advise(range.clone(), Advice::Evict);
        if file.cached_bytes(range.clone()) == Some(0) {
            file.advise(range, Advice::Populate);
            n_loaded += 1;
        }
        if n_loaded == N_LOADED {
            break;
        }
    }
    let huge = mapped_huge(file.bytes().as_ptr() as u64)?;
    (n_loaded > 0).then_some(huge >= n_loaded * page)
}

/// Bytes that are mapped as huge pages of a file in the mapping at `address`.
fn mapped_huge(address: u64) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/smaps").ok()?;
    in_mapping(&text, address, "FilePmdMapped:")
}

/// The counter `name` of the mapping at `address`, in bytes, in the text of a `smaps` file.
fn in_mapping(smaps: &str, address: u64, name: &str) -> Option<u64> {
    let starts_here = |line: &&str| {
        let (start, _) = line.split_once('-').unwrap_or_default();
        u64::from_str_radix(start, 16) == Ok(address)
    };
    let line = smaps
        .lines()
        .skip_while(|line| !starts_here(line))
        .find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::in_mapping;

    #[test]
    fn a_counter_is_taken_from_the_mapping_that_is_meant() {
        let smaps = "7f0000000000-7f0000400000 r--s 00000000 fe:00 1 /a\n\
                     Rss: 8 kB\nFilePmdMapped: 2048 kB\n\
                     7f0000400000-7f0000800000 r--s 00000000 fe:00 2 /b\n\
                     Rss: 8 kB\nFilePmdMapped: 4096 kB\n";
        let huge = |address| in_mapping(smaps, address, "FilePmdMapped:");
        assert_eq!(huge(0x7f00_0000_0000), Some(2 << 20));
        assert_eq!(huge(0x7f00_0040_0000), Some(4 << 20));
        assert_eq!(huge(0x7f00_0080_0000), None);
    }
}
