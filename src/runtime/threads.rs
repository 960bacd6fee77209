//! How many threads computing should use.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    thread,
};

/// Fewest bytes of weights a token that are worth a thread. Threads meet after each operation; on a
/// model of 4 MB a token, one thread is twice as fast as two (docs/SPEED.md).
const BYTES_PER_THREAD: u64 = 8 << 20;

/// Where Linux describes the processors.
const DEVICES: &str = "/sys/devices";

/// What slower cores must add before they are used: threads that wait for slower ones also heat and
/// starve them.
const WORTH: f64 = 1.25;

/// Threads for a model that reads `bytes_per_token` bytes of weights for each token: the physical
/// cores, only the fast ones if there are two sorts, or fewer for a small model.
pub fn default_threads(bytes_per_token: u64) -> usize {
    let worth = usize::try_from(bytes_per_token / BYTES_PER_THREAD).unwrap_or(usize::MAX);
    performance_cores().min(worth.max(1))
}

/// Physical performance cores that this process may use: hyper-threads share the arithmetic units
/// that matrix products keep busy, so a second thread per core costs more than it brings.
pub fn performance_cores() -> usize {
    let available = thread::available_parallelism().map_or(1, usize::from);
    described_cores(Path::new(DEVICES)).map_or(available, |cores| cores.clamp(1, available))
}

/// Counts the performance cores that Linux's sysfs describes below `devices`; `None` elsewhere.
///
/// Two sorts of core show in one of two ways: Intel's hybrid processors list the processors of their
/// performance cores in `cpu_core/cpus`; ARM's have a `cpu_capacity` each, 1024 for the fastest.
fn described_cores(devices: &Path) -> Option<usize> {
    let fast = fs::read_to_string(devices.join("cpu_core/cpus"))
        .ok()
        .and_then(|text| processors(&text));
    let mut seen = HashSet::new();
    let mut capacities: BTreeMap<u32, usize> = BTreeMap::new();
    for entry in fs::read_dir(devices.join("system/cpu")).ok()?.flatten() {
        let cpu = entry.path();
        let Ok(siblings) = fs::read_to_string(cpu.join("topology/thread_siblings_list")) else {
            continue;
        };
        let number = (entry.file_name().to_str())
            .and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        let slow = (fast.as_ref().zip(number)).is_some_and(|(fast, n)| !fast.contains(&n));
        if slow || !seen.insert(siblings) {
            continue;
        }
        let capacity = fs::read_to_string(cpu.join("cpu_capacity"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        *capacities.entry(capacity.unwrap_or(1024)).or_default() += 1;
    }
    best_count(&capacities)
}

/// How many of the fastest cores compute most together, given how many there are of each capacity.
/// Work is divided into equal shares, so each goes as fast as the slowest.
fn best_count(capacities: &BTreeMap<u32, usize>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut count = 0;
    for (&capacity, &cores) in capacities.iter().rev() {
        count += cores;
        let speed = count as f64 * f64::from(capacity);
        if best.is_none_or(|(_, most)| speed > WORTH * most) {
            best = Some((count, speed));
        }
    }
    best.map(|(count, _)| count)
}

/// Reads a list of processors as the kernel writes it: `0-3,8`.
fn processors(list: &str) -> Option<HashSet<usize>> {
    let mut all = HashSet::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor of a recorded tree: its siblings and, on ARM, its capacity.
    type Cpu = (&'static str, Option<u32>);

    /// Counts in a tree like the one recorded.
    fn count(cpus: &[Cpu], performance: Option<&str>) -> Option<usize> {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        };
        for (n, (siblings, capacity)) in cpus.iter().enumerate() {
            write(
                &format!("system/cpu/cpu{n}/topology/thread_siblings_list"),
                siblings,
            );
            if let Some(capacity) = capacity {
                write(
                    &format!("system/cpu/cpu{n}/cpu_capacity"),
                    &capacity.to_string(),
                );
            }
        }
        // What else lies there on every machine.
        write("system/cpu/cpufreq/boost", "1");
        write("system/cpu/online", "0-7");
        if let Some(list) = performance {
            write("cpu_core/cpus", list);
        }
        described_cores(root.path())
    }

    /// One processor a core, with the capacities given.
    fn arm(capacities: [u32; 8]) -> Vec<Cpu> {
        const NAMES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        NAMES.into_iter().zip(capacities.map(Some)).collect()
    }

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

    #[test]
    fn hyper_threads_count_once() {
        let cpus = [("0,2", None), ("1,3", None), ("0,2", None), ("1,3", None)];
        assert_eq!(count(&cpus, None), Some(2));
    }

    #[test]
    fn equal_cores_all_count() {
        assert_eq!(count(&arm([1024; 8])[..4], None), Some(4)); // Raspberry Pi 5
    }

    #[test]
    fn little_cores_do_not_count() {
        // RK3588: four A55, four A76.
        let rk3588 = arm([414, 414, 414, 414, 1024, 1024, 1024, 1024]);
        assert_eq!(count(&rk3588, None), Some(4));
        // A phone: four little, three big, one bigger.
        let phone = arm([325, 325, 325, 325, 828, 828, 828, 1024]);
        assert_eq!(count(&phone, None), Some(4));
        // Two big cores and six that are half as fast: together the little ones are worth it.
        let two = arm([512, 512, 512, 512, 512, 512, 1024, 1024]);
        assert_eq!(count(&two, None), Some(8));
    }

    #[test]
    fn efficiency_cores_of_hybrid_processors_do_not_count() {
        // Two performance cores with two threads each, four efficiency cores.
        let cpus = [
            ("0-1", None),
            ("0-1", None),
            ("2-3", None),
            ("2-3", None),
            ("4", None),
            ("5", None),
            ("6", None),
            ("7", None),
        ];
        assert_eq!(count(&cpus, Some("0-3")), Some(2));
        assert_eq!(count(&cpus, None), Some(6));
    }

    #[test]
    fn a_machine_that_describes_nothing_has_no_count() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(described_cores(root.path()), None);
        fs::create_dir_all(root.path().join("system/cpu")).unwrap();
        assert_eq!(described_cores(root.path()), None);
    }
}
