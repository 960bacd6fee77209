//! Sums over a file's tensors, per group and in all.

use pixtral::{
    config::{Config, Group, inventory},
    gguf::{File, TensorInfo},
};
use std::collections::BTreeMap;

/// What a file's tensors amount to.
pub struct Contents {
    /// Sums per group, in file order. Files of other models have one group.
    pub groups: Vec<(String, Sum)>,
    /// The sum of all.
    pub total: Sum,
}

/// Tensors that belong together, summed up.
#[derive(Default)]
pub struct Sum {
    pub n_tensors: usize,
    pub n_elements: u64,
    pub n_bytes: u64,
    pub types: BTreeMap<String, usize>,
}

impl Sum {
    fn add(&mut self, tensor: &TensorInfo) {
        self.n_tensors += 1;
        self.n_elements += tensor.n_elements();
        self.n_bytes += tensor.n_bytes;
        *self.types.entry(tensor.ty.name().to_owned()).or_default() += 1;
    }

    pub fn bits_per_weight(&self) -> f64 {
        match self.n_elements {
            0 => 0.0,
            n => self.n_bytes as f64 * 8.0 / n as f64,
        }
    }
}

impl Contents {
    /// Sums up `file`.
    pub fn of(file: &File) -> Self {
        let group_of: BTreeMap<String, Group> = Config::from_metadata(file.metadata())
            .map(|config| {
                inventory(&config)
                    .into_iter()
                    .map(|t| (t.name, t.group))
                    .collect()
            })
            .unwrap_or_default();
        let mut groups: Vec<(String, Sum)> = Vec::new();
        let mut total = Sum::default();
        for tensor in file.tensors() {
            let group = group_of
                .get(&tensor.name)
                .map_or("tensors".to_owned(), Group::to_string);
            if groups.last().is_none_or(|(last, _)| *last != group) {
                groups.push((group, Sum::default()));
            }
            if let Some((_, sum)) = groups.last_mut() {
                sum.add(tensor);
            }
            total.add(tensor);
        }
        Self { groups, total }
    }
}
