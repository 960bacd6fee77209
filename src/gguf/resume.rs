//! How much of an unfinished file can be kept. It believes nothing but checksums: after a crash or
//! a power cut any byte may be missing.

use super::Plan;
use super::checksum::Checksum;
use crate::{Error, ErrorKind, Result};
use std::{
    fs,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Counts the tensors at the start of the unfinished `file` that are complete.
///
/// # Errors
/// `InvalidArgument` if the file was begun with another plan.
pub(super) fn completed(file: &fs::File, path: &Path, plan: &Plan) -> Result<usize> {
    let io_error = |e| Error::io(path, "read", e);
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = Vec::new();
    let expected = plan.header();
    reader
        .rewind()
        .and_then(|()| {
            (&mut reader)
                .take(expected.len() as u64)
                .read_to_end(&mut header)
        })
        .map_err(io_error)?;
    let checksums = take_checksums(&mut header, plan);
    if !expected.starts_with(&header) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: was begun from another checkpoint or with other settings and cannot be resumed; \
                 delete it or start over",
                path.display()
            ),
        ));
    }
    if header.len() < expected.len() {
        return Ok(0);
    }
    for (index, (place, &checksum)) in plan.places().iter().zip(&checksums).enumerate() {
        // 0: not written.
        if checksum == 0
            || checksum_of(&mut reader, place.offset, place.n_bytes).map_err(io_error)?
                != Some(checksum)
        {
            return Ok(index);
        }
    }
    Ok(plan.places().len())
}

/// Takes the checksums out of a header, leaving zeros. A header cut short has zeros anyway.
fn take_checksums(header: &mut [u8], plan: &Plan) -> Vec<u64> {
    let range = plan.checksum_at(0)..plan.checksum_at(plan.places().len());
    let Some(raw) = header.get_mut(range.clone()) else {
        if let Some(rest) = header.get_mut(range.start..) {
            rest.fill(0);
        }
        return Vec::new();
    };
    let checksums = raw.as_chunks().0.iter().map(|c| u64::from_le_bytes(*c));
    let checksums = checksums.collect();
    raw.fill(0);
    checksums
}

/// Checksum of `n_bytes` at `offset`; `None` if the file ends before.
fn checksum_of(
    reader: &mut (impl Read + Seek),
    offset: u64,
    n_bytes: u64,
) -> io::Result<Option<u64>> {
    reader.seek(SeekFrom::Start(offset))?;
    let mut checksum = Checksum::default();
    let mut buffer = vec![0; 1 << 20];
    let mut rest = n_bytes;
    while rest > 0 {
        let want = rest.min(buffer.len() as u64) as usize;
        match reader.read(&mut buffer[..want])? {
            0 => return Ok(None),
            n => {
                checksum.update(&buffer[..n]);
                rest -= n as u64;
            }
        }
    }
    Ok(Some(checksum.value()))
}
