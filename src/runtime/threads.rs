//! How many threads computing should use.

use std::{collections::HashSet, fs, thread};

/// Physical cores that this process may use: hyper-threads share the arithmetic units that
/// matrix products keep busy, so a second thread per core costs more than it brings.
pub fn default_threads() -> usize {
    let available = thread::available_parallelism().map_or(1, usize::from);
    physical_cores().map_or(available, |cores| cores.clamp(1, available))
}

/// Counts distinct sets of sibling threads in Linux's sysfs; `None` elsewhere.
fn physical_cores() -> Option<usize> {
    let mut cores = HashSet::new();
    for entry in fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = entry.path().join("topology/thread_siblings_list");
        if let Ok(text) = fs::read_to_string(siblings) {
            cores.insert(text);
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_at_least_one_thread_and_no_more_than_the_machine_has() {
        let n = super::default_threads();
        assert!(n >= 1 && n <= std::thread::available_parallelism().map_or(1, usize::from));
    }
}
