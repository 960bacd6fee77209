//! Whether the tensors of an unfinished file are of the same weights as the source.
//!
//! The file itself cannot say: its plan is the same for all checkpoints of one shape. So no file of
//! the source may be younger than it, and the first rows of each kept tensor must be what they
//! would be today.

use super::encode::{Encoder, rows_per_piece};
use crate::checkpoint::TensorRows;
use crate::gguf::TensorInfo;
use crate::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Refuses to resume `partial` if one of the files `inputs` was changed after it.
pub(super) fn check_age(partial: &Path, inputs: &[PathBuf]) -> Result<()> {
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let Some(written) = changed(partial) else {
        return Ok(());
    };
    let younger = |path: &&PathBuf| changed(path).is_some_and(|time| time > written);
    match inputs.iter().find(younger) {
        None => Ok(()),
        Some(input) => Err(refusal(
            partial,
            &format!("is older than {}", input.display()),
        )),
    }
}

/// Compares the beginnings of `kept`, the complete tensors in the unfinished file `partial`, with
/// those of `tensors`.
pub(super) fn check_weights<'a>(
    partial: &Path,
    kept: &[TensorInfo],
    tensors: impl Iterator<Item = &'a dyn TensorRows>,
    encoder: &Encoder,
) -> Result<()> {
    let read = |e| Error::io(partial, "read", e);
    let mut file = File::open(partial).map_err(read)?;
    for (place, tensor) in kept.iter().zip(tensors) {
        let rows = 0..place.n_rows().min(rows_per_piece(tensor.row_len()));
        let row_bytes = place.n_bytes / place.n_rows();
        let mut expected = vec![0; (rows.end * row_bytes) as usize];
        encoder.encode(&place.name, tensor, rows.clone(), place.ty, &mut expected)?;
        tensor.release(rows);
        let mut found = vec![0; expected.len()];
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.read_exact(&mut found))
            .map_err(read)?;
        if found != expected {
            return Err(refusal(
                partial,
                &format!("has other weights in tensor {}", place.name),
            ));
        }
    }
    Ok(())
}

fn refusal(partial: &Path, reason: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "{}: {reason}, so it may be of another checkpoint and cannot be resumed; delete it or \
             start over",
            partial.display()
        ),
    )
}
