//! Limits of Linux's control groups, both versions: the group of this process and every group
//! around it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Names of a version's files and counters.
struct Version {
    /// Where the tree of groups is usually mounted, below the root.
    mounted: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Counters of `memory.stat` that are copies of files, which the system can drop.
    files: [&'static str; 2],
}

const VERSION_1: Version = Version {
    mounted: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};

const VERSION_2: Version = Version {
    mounted: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    files: ["inactive_file", "active_file"],
};

/// Bytes that the tightest limit around this process leaves to it, files that can be dropped not
/// counted as used; `None` if there is no limit.
pub(super) fn available(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let left = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match controllers {
            "" => &VERSION_2,
            list if list.split(',').any(|name| name == "memory") => &VERSION_1,
            _ => return None,
        };
        version.tightest(root, group)
    });
    left.min()
}

impl Version {
    /// The least that any group from `group` up to the root of the tree leaves. A container may see
    /// its own group as that root, whatever path it is told.
    fn tightest(&self, root: &Path, group: &str) -> Option<u64> {
        let tree = root.join(self.mounted);
        let innermost = tree.join(group.trim_start_matches('/'));
        let around = innermost.ancestors().take_while(|at| at.starts_with(&tree));
        around
            .map(PathBuf::from)
            .filter_map(|at| self.left(&at))
            .min()
    }

    /// What the limit of the group in `folder` leaves; `None` if it has none.
    fn left(&self, folder: &Path) -> Option<u64> {
        let number = |name| -> Option<u64> {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            text.trim().parse().ok()
        };
        let limit = number(self.limit)?;
        let used = number(self.usage)?;
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let files: u64 = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(name, _)| self.files.contains(name))
            .filter_map(|(_, n)| n.trim().parse::<u64>().ok())
            .sum();
        Some(limit.saturating_sub(used.saturating_sub(files)))
    }
}
