//! The choice between the mapped file and a copy of it, as a function of what is known.

use super::{super::memory::Available, LoadMode};
use crate::{Error, ErrorKind, Result};

/// Files below this are read from the processor's caches as often as not: pages do not matter.
const SMALL: u64 = 256 << 20;

/// What must be left beside a copy for keys, values and computing.
const RESERVE: u64 = 1 << 30;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Size of the file.
    pub file_bytes: u64,
    /// Memory that this process can still take; copies of files in the system's cache, this file's
    /// among them, count as free. `None` where the system does not say.
    pub available: Option<Available>,
    /// Whether the file's pages can be mapped as huge ones; `None` if that is not known.
    pub huge_pages: Option<bool>,
}

impl Facts {
    /// Whether the kind of pages can decide anything.
    pub(super) fn is_worth_probing(&self) -> bool {
        self.file_bytes >= SMALL && self.is_ample()
    }

    /// Whether a copy leaves other programs and the system's cache room as well.
    fn is_ample(&self) -> bool {
        self.available
            .is_some_and(|a| a.bytes >= self.file_bytes + self.file_bytes / 2 + RESERVE)
    }
}

/// Where weights are read from, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// [`LoadMode::Mmap`] or [`LoadMode::Copy`].
    pub mode: LoadMode,
    /// The reason, as the end of a sentence.
    pub reason: String,
}

/// What `mode` comes to where `facts` hold.
///
/// A copy is faster only where the file system gives the file's pages one by one: reading weights
/// then misses the processor's page tables all the time (docs/SPEED.md). Errors with `OutOfMemory`
/// if a copy is asked for and does not fit.
pub fn choose(mode: LoadMode, facts: &Facts) -> Result<Choice> {
    let mmap = |reason: String| Choice {
        mode: LoadMode::Mmap,
        reason,
    };
    let copy = |reason: String| Choice {
        mode: LoadMode::Copy,
        reason,
    };
    let size = gib(facts.file_bytes);
    let asked = || "as asked".to_owned();
    Ok(match (mode, facts.available) {
        (LoadMode::Mmap, _) => mmap(asked()),
        (LoadMode::Copy, Some(free)) if free.bytes < facts.file_bytes + RESERVE => {
            return Err(no_room(facts.file_bytes, free));
        }
        (LoadMode::Copy, _) => copy(asked()),
        (LoadMode::Auto, None) => mmap("the system does not say how much memory is free".into()),
        (LoadMode::Auto, Some(free)) if free.bytes < facts.file_bytes => mmap(format!(
            "of {size} only {} fit into memory ({})",
            gib(free.bytes),
            free.bound
        )),
        (LoadMode::Auto, Some(_)) if facts.file_bytes < SMALL => mmap("the file is small".into()),
        (LoadMode::Auto, Some(free)) => match facts.huge_pages {
            Some(true) => mmap("its pages are huge already: a copy would be no faster".into()),
            Some(false) if facts.is_ample() => copy(format!(
                "the file system gives small pages only, and {} of memory are free",
                gib(free.bytes)
            )),
            _ if !facts.is_ample() => mmap(format!(
                "{} of free memory are not ample for a copy of {size}",
                gib(free.bytes)
            )),
            _ => mmap("the system does not say what kind of pages the file has".into()),
        },
    })
}

fn no_room(file_bytes: u64, free: Available) -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "a copy in memory needs {} but only {} are free ({}): load it by mmap, which needs none",
            gib(file_bytes + RESERVE),
            gib(free.bytes),
            free.bound
        ),
    )
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::memory::Bound;

    const GIB: u64 = 1 << 30;

    fn facts(file: u64, free: Option<u64>, huge_pages: Option<bool>) -> Facts {
        Facts {
            file_bytes: file,
            available: free.map(|bytes| Available {
                bytes,
                bound: Bound::ControlGroup,
            }),
            huge_pages,
        }
    }

    fn auto(file: u64, free: Option<u64>, huge_pages: Option<bool>) -> (LoadMode, String) {
        let choice = choose(LoadMode::Auto, &facts(file, free, huge_pages)).unwrap();
        (choice.mode, choice.reason)
    }

    #[test]
    fn a_copy_is_made_only_if_pages_are_small_and_memory_is_ample() {
        for (free, huge, mode, why) in [
            (Some(20 * GIB), Some(false), LoadMode::Copy, "small pages"),
            (Some(20 * GIB), Some(true), LoadMode::Mmap, "huge already"),
            (
                Some(20 * GIB),
                None,
                LoadMode::Mmap,
                "does not say what kind",
            ),
            (Some(10 * GIB), Some(false), LoadMode::Mmap, "not ample"),
            (Some(4 * GIB), None, LoadMode::Mmap, "only 4.0 GiB fit"),
            (None, Some(false), LoadMode::Mmap, "does not say how much"),
        ] {
            let (found, reason) = auto(8 * GIB, free, huge);
            assert_eq!(found, mode, "{free:?} {huge:?}");
            assert!(reason.contains(why), "{reason:?} lacks {why:?}");
        }
    }

    #[test]
    fn a_small_file_is_mapped_whatever_its_pages() {
        assert_eq!(auto(6 << 20, Some(20 * GIB), Some(false)).0, LoadMode::Mmap);
    }

    #[test]
    fn what_is_asked_for_is_done_or_refused_with_the_way_out() {
        let tight = facts(8 * GIB, Some(8 * GIB), Some(true));
        let ask = |mode| choose(mode, &tight);
        assert_eq!(ask(LoadMode::Mmap).unwrap().mode, LoadMode::Mmap);
        let e = ask(LoadMode::Copy).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::OutOfMemory);
        for part in ["9.0 GiB", "8.0 GiB", "control group", "mmap"] {
            assert!(e.message().contains(part), "{part:?} is not in {e}");
        }
        let unknown = facts(8 * GIB, None, None);
        assert_eq!(
            choose(LoadMode::Copy, &unknown).unwrap().mode,
            LoadMode::Copy
        );
    }

    #[test]
    fn modes_have_the_names_that_are_read() {
        for mode in [LoadMode::Auto, LoadMode::Mmap, LoadMode::Copy] {
            assert_eq!(mode.to_string().parse::<LoadMode>().unwrap(), mode);
        }
        assert!("ram".parse::<LoadMode>().is_err());
    }
}
