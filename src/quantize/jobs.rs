//! Cuts a model into tiles: runs of rows that are read, quantised and written as one.

use crate::config::TensorSpec;
use std::ops::Range;

/// Values of a tile: 16 MiB of a bf16 source, at most 32 MiB of output.
const TILE: u64 = 8 << 20;

/// Some rows of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Index of the tensor.
    pub tensor: usize,
    /// Rows of it.
    pub rows: Range<u64>,
}

/// All rows of `specs` from tensor `first` on, in order.
pub(super) fn jobs(specs: &[TensorSpec], first: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (tensor, spec) in specs.iter().enumerate().skip(first) {
        let n_rows = spec.n_rows();
        let per_tile = (TILE / spec.dims[0]).max(1);
        let mut start = 0;
        while start < n_rows {
            let end = n_rows.min(start + per_tile);
            jobs.push(Job {
                tensor,
                rows: start..end,
            });
            start = end;
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, inventory};

    #[test]
    fn every_row_is_in_one_tile_and_tiles_are_small() {
        let specs = inventory(&Config::pixtral_12b());
        for first in [0, 7, specs.len()] {
            let mut next = (first, 0);
            for job in jobs(&specs, first) {
                assert_eq!((job.tensor, job.rows.start), next);
                let spec = &specs[job.tensor];
                assert!((job.rows.end - job.rows.start) * spec.dims[0] <= TILE);
                next = match job.rows.end == spec.n_rows() {
                    true => (job.tensor + 1, 0),
                    false => (job.tensor, job.rows.end),
                };
            }
            assert_eq!(next, (specs.len(), 0));
        }
    }
}
