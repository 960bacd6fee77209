//! How many threads computing should use.

use std::{collections::HashSet, fs, thread};

/// Fewest bytes of weights a token that are worth a thread. Threads meet after each operation; on a
/// model of 4 MB a token, one thread is twice as fast as two (docs/SPEED.md).
const BYTES_PER_THREAD: u64 = 8 << 20;

/// Threads for a model that reads `bytes_per_token` bytes of weights for each token: the physical
/// cores, or fewer for a small model.
pub fn default_threads(bytes_per_token: u64) -> usize {
    let worth = usize::try_from(bytes_per_token / BYTES_PER_THREAD).unwrap_or(usize::MAX);
    cores().min(worth.max(1))
}

/// Physical cores that this process may use: hyper-threads share the arithmetic units that
/// matrix products keep busy, so a second thread per core costs more than it brings.
fn cores() -> usize {
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
    use super::default_threads;

    #[test]
    fn there_is_at_least_one_thread_and_no_more_than_the_machine_has() {
        let n = default_threads(u64::MAX);
        assert!(n >= 1 && n <= std::thread::available_parallelism().map_or(1, usize::from));
    }

    #[test]
    fn a_small_model_gets_one_thread() {
        assert_eq!(default_threads(0), 1);
        assert_eq!(default_threads(4 << 20), 1);
    }
}
