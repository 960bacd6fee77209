//! How much memory this process may take: what the machine has left, and the limit of the control
//! group that it runs in. It reads the system's own counters, and knows nothing of models.

mod cgroup;

use std::{fmt, fs, path::Path};

/// Bytes that this process can still take, and what bounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// Memory that is free, or that holds nothing but copies of files.
    pub bytes: u64,
    /// What runs out first.
    pub bound: Bound,
}

/// What bounds the memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The machine's memory.
    Machine,
    /// The limit of its control group (a container's, for instance).
    ControlGroup,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Machine => "the machine's memory",
            Bound::ControlGroup => "the limit of the control group",
        })
    }
}

impl Available {
    /// As it is now; `None` where the system does not say.
    pub fn now() -> Option<Self> {
        Self::under(Path::new("/"))
    }

    /// What the counters under the file system root `root` say.
    fn under(root: &Path) -> Option<Self> {
        let machine = machine(root).map(|bytes| Self {
            bytes,
            bound: Bound::Machine,
        });
        let group = cgroup::available(root).map(|bytes| Self {
            bytes,
            bound: Bound::ControlGroup,
        });
        machine.into_iter().chain(group).min_by_key(|a| a.bytes)
    }
}

/// Linux's own estimate of what can be taken without swapping.
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn available(files: &[(&str, &str)]) -> Option<Available> {
        Available::under(root(files).path())
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 24000000 kB\nMemFree: 1000 kB\nMemAvailable: 8000000 kB\n",
    );

    fn of(bytes: u64, bound: Bound) -> Option<Available> {
        Some(Available { bytes, bound })
    }

    #[test]
    fn without_a_control_group_the_machine_decides() {
        assert_eq!(available(&[MEMINFO]), of(8_000_000 * 1024, Bound::Machine));
        assert_eq!(available(&[]), None);
    }

    #[test]
    fn the_limit_of_a_group_of_version_2_counts_less_what_is_used_and_not_files() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/box/inner\n"),
            ("sys/fs/cgroup/cgroup.controllers", "memory\n"),
            ("sys/fs/cgroup/box/memory.max", "1000000\n"),
            ("sys/fs/cgroup/box/memory.current", "700000\n"),
            (
                "sys/fs/cgroup/box/memory.stat",
                "anon 100000\ninactive_file 400000\nactive_file 100000\n",
            ),
            ("sys/fs/cgroup/box/inner/memory.max", "max\n"),
        ];
        assert_eq!(available(&files), of(800_000, Bound::ControlGroup));
    }

    #[test]
    fn the_limit_of_a_group_of_version_1_is_found_in_its_own_tree() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "5:memory:/box\n3:cpu:/\n0::/\n"),
            (
                "sys/fs/cgroup/memory/box/memory.limit_in_bytes",
                "2000000\n",
            ),
            ("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "500000\n"),
            (
                "sys/fs/cgroup/memory/box/memory.stat",
                "total_inactive_file 300000\ntotal_active_file 50000\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        assert_eq!(available(&files), of(1_850_000, Bound::ControlGroup));
    }

    #[test]
    fn inside_a_container_the_group_may_be_the_root_of_what_is_seen() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/outside/the/container\n"),
            ("sys/fs/cgroup/memory.max", "3000000\n"),
            ("sys/fs/cgroup/memory.current", "3500000\n"),
            (
                "sys/fs/cgroup/memory.stat",
                "inactive_file 0\nactive_file 0\n",
            ),
        ];
        assert_eq!(available(&files), of(0, Bound::ControlGroup));
    }

    #[test]
    fn a_limit_beyond_the_machine_changes_nothing() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "99000000000\n"),
            ("sys/fs/cgroup/memory.current", "0\n"),
        ];
        assert_eq!(available(&files), of(8_000_000 * 1024, Bound::Machine));
    }
}
