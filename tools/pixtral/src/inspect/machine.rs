//! What this machine would do with a file: how it would be loaded, and why.

use pixtral::{
    gguf::File,
    runtime::{
        LoadMode,
        load::{Choice, choose_for},
        memory::Available,
    },
};
use pixtral_terminal::units;
use serde_json::{Value, json};

/// A file on this machine, now.
pub struct Machine {
    loading: Choice,
    available: Option<Available>,
    cached: Option<u64>,
    size: u64,
}

impl Machine {
    /// Looks at `file` and the memory.
    pub fn of(file: &File) -> pixtral::Result<Self> {
        let size = file.bytes().len() as u64;
        Ok(Self {
            cached: file.cached_bytes(0..size),
            loading: choose_for(file, LoadMode::Auto)?,
            available: Available::now(),
            size,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = format!(
            "loaded here by {}: {}\n",
            self.loading.mode, self.loading.reason
        );
        if let Some(available) = self.available {
            lines += &format!("memory free for it: {}\n", units::bytes(available.bytes));
        }
        if let Some(cached) = self.cached {
            let (cached, size) = (cached.min(self.size), self.size);
            lines += &format!(
                "in memory already: {} of {}\n",
                units::bytes(cached),
                units::bytes(size)
            );
        }
        lines
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "mode": self.loading.mode.to_string(),
            "reason": self.loading.reason,
            "available_bytes": self.available.map(|a| a.bytes),
            "cached_bytes": self.cached,
        })
    }
}
