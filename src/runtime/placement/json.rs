//! Devices and plans as JSON, for programs in other languages. Knows nothing of how they are made.

use super::{DevicePlan, Plan};
use crate::{Result, ggml::Device};
use serde_json::{Value, json};

/// A device: `name`, `kind`, `description`, and `free_bytes` of `total_bytes` of its memory.
///
/// Errors if the device does not say how much memory it has, such as one that is lost.
pub fn device_json(device: &Device) -> Result<Value> {
    let memory = device.memory()?;
    Ok(json!({
        "name": device.name(),
        "kind": device.kind().to_string(),
        "description": device.description(),
        "free_bytes": memory.free,
        "total_bytes": memory.total,
    }))
}

impl Plan {
    /// The plan as an object: `devices`, of which each has also its `budget_bytes`, number of
    /// `layers`, `weights_bytes`, `cache_bytes` and `work_bytes`; the names of those that take
    /// `vision`, `embedding`, each of `layers` and `output`; `notes`.
    pub fn to_json(&self) -> Value {
        let name = |d: usize| self.devices[d].name.as_str();
        let devices: Vec<Value> = self.devices.iter().map(planned).collect();
        json!({
            "devices": devices,
            "vision": name(self.vision),
            "embedding": name(self.embedding),
            "layers": self.layers.iter().map(|&d| name(d)).collect::<Vec<_>>(),
            "output": name(self.output),
            "notes": self.notes,
        })
    }
}

fn planned(device: &DevicePlan) -> Value {
    json!({
        "name": device.name,
        "description": device.description,
        "kind": device.kind.to_string(),
        "free_bytes": device.memory.free,
        "total_bytes": device.memory.total,
        "budget_bytes": device.budget,
        "layers": device.n_layers,
        "weights_bytes": device.usage.weights,
        "cache_bytes": device.usage.cache,
        "work_bytes": device.usage.work,
    })
}
