//! How much memory this process uses, split into what only it needs and what is a mapped file, and
//! how much the machine has.

use serde_json::{Value, json};
use std::fs;

/// Bytes of resident memory, as the operating system counts them.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Anonymous pages now: caches, working memory, the program's own data.
    pub anonymous: u64,
    /// Pages of mapped files now: mostly weights, which the system can drop and read again.
    pub file_backed: u64,
    /// The most both together ever were.
    pub peak: u64,
}

impl Memory {
    /// Reads the process's own counters; `None` where the system does not offer them.
    pub fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let field = |name| field(&status, name);
        Some(Self {
            anonymous: field("RssAnon:")?,
            file_backed: field("RssFile:")? + field("RssShmem:")?,
            peak: field("VmHWM:")?,
        })
    }

    /// The same as JSON.
    pub fn to_json(self) -> Value {
        json!({
            "anonymous_bytes": self.anonymous,
            "file_backed_bytes": self.file_backed,
            "peak_bytes": self.peak,
        })
    }
}

/// Bytes of memory that this machine has; `None` where the system does not say.
pub fn machine() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A line of the kernel's own reports: `VmHWM:   5 kB`.
fn field(report: &str, name: &str) -> Option<u64> {
    let line = report.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
