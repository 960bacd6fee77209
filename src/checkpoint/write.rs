//! Writes a [`Synthetic`] model as a checkpoint in Mistral's layout, a tile at a time: rows are
//! made by all threads while the tile before is on its way to the disk.

use super::Synthetic;
use super::names::name_in;
use super::source::{Format, TensorRows, TensorSource};
use super::synthetic::SyntheticTensor;
use crate::config::{TensorSpec, inventory};
use crate::gguf::{check_free_space, partial_path};
use crate::{Error, ErrorKind, Result};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// Bytes that go to the disk at once.
const TILE: usize = 32 << 20;

/// Bytes that one thread makes at once.
const PIECE: usize = 256 << 10;

/// Bytes of a bf16.
const VALUE: u64 = 2;

impl Synthetic {
    /// Writes params.json, tekken.json and the weights, as bf16, into `folder`, which is made if
    /// it does not exist: one consolidated.safetensors, or `shards` files with an index.
    ///
    /// `progress` is told the bytes of weights written and their total, and ends the work with
    /// the error it returns. Files of the same names are replaced; a file that was not completed
    /// does not remain.
    pub fn write(
        &self,
        folder: &Path,
        shards: usize,
        progress: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        let list = inventory(self.config());
        let total = VALUE * list.iter().map(TensorSpec::n_elements).sum::<u64>();
        let parts = divide(&list, total, shards)?;
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
        check_free_space(folder, total)?;
        save(&folder.join("params.json"), self.params())?;
        save(&folder.join("tekken.json"), self.tekken())?;

        let mut written = 0;
        let mut weight_map = Map::new();
        for (number, part) in parts.iter().enumerate() {
            let file = match parts.len() {
                1 => "consolidated.safetensors".to_string(),
                n => format!("consolidated-{:05}-of-{n:05}.safetensors", number + 1),
            };
            let mut report = |bytes: u64| {
                written += bytes;
                progress(written, total)
            };
            let metadata = self.write_shard(&folder.join(&file), part, &mut report)?;
            let names = metadata.offset_keys().into_iter();
            weight_map.extend(names.map(|name| (name, Value::from(file.as_str()))));
        }
        if parts.len() > 1 {
            let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
            let path = folder.join("consolidated.safetensors.index.json");
            save(&path, format!("{index:#}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Writes one safetensors file and returns its header.
    fn write_shard(
        &self,
        path: &Path,
        list: &[TensorSpec],
        report: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Metadata> {
        let metadata = metadata(list)?;
        let partial = Partial::create(path)?;
        // One tile is being written, one waits, one is being made.
        let (tiles, queue) = mpsc::sync_channel::<Vec<u8>>(1);
        thread::scope(|scope| {
            let file = &partial;
            let writer = scope.spawn(move || {
                file.write(&header(&metadata)?)?;
                for tile in queue {
                    file.write(&tile)?;
                }
                Ok(metadata)
            });
            let made = self.make_tiles(list, &tiles, report);
            drop(tiles);
            let written = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // If the writer failed, `made` only says that it stopped listening.
            let metadata = written?;
            made.map(|()| metadata)
        })
        .and_then(|metadata| partial.complete(path).map(|()| metadata))
    }

    /// Makes all weights of `list`, in order.
    fn make_tiles(
        &self,
        list: &[TensorSpec],
        tiles: &mpsc::SyncSender<Vec<u8>>,
        report: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let stopped = |_| Error::new(ErrorKind::Io, "the writer stopped");
        let mut tile = Vec::with_capacity(TILE);
        for spec in list {
            let tensor = self.rows(spec);
            let row_bytes = tensor.row_len() * VALUE as usize;
            let mut row = 0;
            while row < tensor.n_rows() {
                let room = (TILE.saturating_sub(tile.len()) / row_bytes).max(1) as u64;
                let count = room.min(tensor.n_rows() - row);
                let start = tile.len();
                tile.resize(start + count as usize * row_bytes, 0);
                fill(&tensor, row, &mut tile[start..])?;
                row += count;
                if tile.len() + row_bytes > TILE {
                    report(tile.len() as u64)?;
                    let full = std::mem::replace(&mut tile, Vec::with_capacity(TILE));
                    tiles.send(full).map_err(stopped)?;
                }
            }
        }
        report(tile.len() as u64)?;
        tiles.send(tile).map_err(stopped)
    }
}

/// Fills `out` with whole rows of `tensor` from row `first` on, as little-endian bf16.
fn fill(tensor: &SyntheticTensor, first: u64, out: &mut [u8]) -> Result<()> {
    let row_bytes = tensor.row_len() * VALUE as usize;
    let rows_per_piece = (PIECE / row_bytes).max(1);
    out.par_chunks_mut(rows_per_piece * row_bytes)
        .enumerate()
        .try_for_each_init(Vec::new, |values: &mut Vec<f32>, (number, piece)| {
            let start = first + (number * rows_per_piece) as u64;
            let rows = (piece.len() / row_bytes) as u64;
            values.resize(piece.len() / VALUE as usize, 0.0);
            tensor.read_rows(start..start + rows, values)?;
            for (bytes, value) in piece.chunks_exact_mut(2).zip(values.iter()) {
                // The values are bf16 already: the lower half is zero.
                bytes.copy_from_slice(&((value.to_bits() >> 16) as u16).to_le_bytes());
            }
            Ok(())
        })
}

/// Divides `list`, of `total` bytes, into `shards` runs of about the same size.
fn divide(list: &[TensorSpec], total: u64, shards: usize) -> Result<Vec<Vec<TensorSpec>>> {
    if shards == 0 || shards > list.len() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{shards} shards: expected 1 to {}, one per tensor",
                list.len()
            ),
        ));
    }
    let mut parts = vec![Vec::new()];
    let mut bytes = 0u64;
    for (number, spec) in list.iter().enumerate() {
        let (begun, rest) = (parts.len(), list.len() - number);
        let due = u128::from(bytes) * shards as u128 >= u128::from(total) * begun as u128;
        // Each of the shards yet to come needs a tensor, and so does the present one.
        let must = rest == shards - begun;
        let last = parts.len() - 1;
        if begun < shards && !parts[last].is_empty() && (due || must) {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        parts[last].push(spec.clone());
        bytes += VALUE * spec.n_elements();
    }
    Ok(parts)
}

fn metadata(list: &[TensorSpec]) -> Result<Metadata> {
    let internal = |what: String| Error::new(ErrorKind::Internal, what);
    let mut end = 0;
    let mut tensors = Vec::new();
    for spec in list {
        let name = name_in(Format::Synthetic, &spec.name)
            .ok_or_else(|| internal(format!("no layout names tensor {}", spec.name)))?;
        let start = end;
        end += (VALUE * spec.n_elements()) as usize;
        let info = TensorInfo {
            dtype: Dtype::BF16,
            shape: spec.dims.iter().rev().map(|&n| n as usize).collect(),
            data_offsets: (start, end),
        };
        tensors.push((name, info));
    }
    let about = [("format".to_string(), "pt".to_string())].into();
    Metadata::new(Some(about), tensors).map_err(|e| internal(format!("safetensors header: {e}")))
}

/// A safetensors header: its length and its JSON, padded so that the weights are aligned.
fn header(metadata: &Metadata) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(metadata)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("safetensors header: {e}")))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend(json);
    Ok(header)
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| Error::io(path, "write", e))
}

/// A file under its temporary name, removed unless it is completed.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Partial {
    fn create(target: &Path) -> Result<Self> {
        let path = partial_path(target);
        let file = File::create(&path).map_err(|e| Error::io(&path, "create", e))?;
        Ok(Self { file, path })
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        (&self.file)
            .write_all(bytes)
            .map_err(|e| Error::io(&self.path, "write", e))
    }

    fn complete(&self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).map_err(|e| Error::io(target, "write", e))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}
