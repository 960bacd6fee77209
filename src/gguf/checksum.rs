//! Checksums: how a tensor's and the header's are computed, under which keys they are stored, and
//! their verification. Guards against damage on disk or in transit, not against forgery.

use super::encode::encode;
use super::{File, TensorInfo, Value};
use crate::{Error, ErrorKind, Result};
use std::{fmt, ops::ControlFlow};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Key of the tensors' checksums: an array of u64, one per tensor in file order, 0 while a tensor
/// is not yet written.
pub const CHECKSUM_KEY: &str = "pixtral.checksum.xxh3";

/// Key of the header's checksum, a u64: of all bytes before the data section, with the values
/// of this key and of [`CHECKSUM_KEY`] taken as zero.
pub const HEADER_CHECKSUM_KEY: &str = "pixtral.checksum.header";

/// Bytes hashed between two calls for progress.
const STEP: usize = 8 << 20;

/// Computes a checksum from bytes as they pass.
#[derive(Default)]
pub(crate) struct Checksum(Xxh3);

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({:#018x})", self.value())
    }
}

impl Checksum {
    /// Of all of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Self::default();
        checksum.update(bytes);
        checksum.value()
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The 64-bit XXH3 with seed 0. A hash of 0, which would mean "not written", becomes 1.
    pub(crate) fn value(&self) -> u64 {
        self.0.digest().max(1)
    }
}

impl File {
    /// Identity of the contents: a hash of the header, in which the checksums stand for the
    /// tensors. `None` if there are no tensors, or no checksums: other weights would look the same.
    pub fn fingerprint(&self) -> Option<u128> {
        // A file without tensors may end before its data would begin.
        let header = self.bytes().get(..self.data_start() as usize)?;
        self.metadata()
            .contains(CHECKSUM_KEY)
            .then(|| xxh3_128(header))
    }

    /// Compares every tensor, and the header, with its checksum. Reads the whole file.
    ///
    /// `progress` is called with the bytes checked so far and in all; it may break off.
    ///
    /// # Errors
    /// `ChecksumMismatch` naming what is damaged, `InvalidArgument` if the file has no checksums,
    /// `Cancelled` if `progress` broke off.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64) -> ControlFlow<()>) -> Result<()> {
        let fail = |kind, what: &str| {
            Err(Error::new(
                kind,
                format!("{}: {what}", self.path().display()),
            ))
        };
        if !self.metadata().contains(CHECKSUM_KEY) {
            return fail(
                ErrorKind::InvalidArgument,
                "has no checksums to verify; files written by pixtral-quantize have",
            );
        }
        let checksums = self.metadata().u64s(CHECKSUM_KEY)?;
        if checksums.len() != self.tensors().len() {
            return fail(
                ErrorKind::InvalidFile,
                &format!(
                    "{} checksums for {} tensors; the file is damaged or was edited",
                    checksums.len(),
                    self.tensors().len()
                ),
            );
        }
        let mut damaged = Vec::new();
        // Whoever writes one kind writes the other: a file without it, or with another type of it,
        // is damaged.
        let header = Value::U64(self.header_checksum());
        if self.metadata().get(HEADER_CHECKSUM_KEY) != Some(&header) {
            damaged.push("the header");
        }
        let total = self.tensors().iter().map(|t| t.n_bytes).sum();
        let mut done = 0;
        for (tensor, &expected) in self.tensors().iter().zip(checksums) {
            let found = self.tensor_checksum(tensor, |n| {
                done += n;
                progress(done, total)
            });
            match found {
                ControlFlow::Continue(found) if found == expected => {}
                ControlFlow::Continue(_) => damaged.push(&tensor.name),
                ControlFlow::Break(()) => {
                    return fail(ErrorKind::Cancelled, "verification was cancelled");
                }
            }
        }
        if damaged.is_empty() {
            return Ok(());
        }
        let shown = damaged.len().min(8);
        let more = match damaged.len() - shown {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        fail(
            ErrorKind::ChecksumMismatch,
            &format!(
                "damaged: {}{more}; download or convert it again",
                damaged[..shown].join(", ")
            ),
        )
    }

    fn tensor_checksum(
        &self,
        tensor: &TensorInfo,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> ControlFlow<(), u64> {
        let mut checksum = Checksum::default();
        for part in self.data(tensor).chunks(STEP) {
            checksum.update(part);
            progress(part.len() as u64)?;
        }
        ControlFlow::Continue(checksum.value())
    }

    /// The header's checksum, from its values: encoding them anew gives the bytes of any file that
    /// our writer wrote.
    fn header_checksum(&self) -> u64 {
        let mut metadata = self.metadata().clone();
        metadata.insert(HEADER_CHECKSUM_KEY, 0u64);
        metadata.insert(CHECKSUM_KEY, vec![0u64; self.tensors().len()]);
        Checksum::of(&encode(&metadata, self.tensors(), self.data_start()).bytes)
    }
}
