//! Full-size files of random weights in little time: of each kind of matrix a few tiles are
//! quantised, and repeated in a varied order. Such a file takes as long to load and run as a real
//! one and passes every check, but says nothing sensible.

use super::encode::{Encoder, ErrorSums};
use super::output::{Sink, open, stream};
use super::plan::Conversion;
use super::{Event, Progress, QuantizeOptions, Recipe, Report, cancelled};
use crate::Result;
use crate::checkpoint::{Synthetic, TensorRows, TensorSource};
use crate::config::{Role, TensorSpec};
use crate::ggml::Type;
use crate::gguf::{TensorInfo, TensorType};
use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Values in a tile.
const TILE: u64 = 256 << 10;
/// Different tiles of each kind.
const TILES: u64 = 8;
/// Bytes that are handed to the writer at once, or a little more.
const BATCH: usize = 4 << 20;

/// Writes the file that `recipe` makes of `source`, except that the rows of large matrices repeat:
/// no more than about two million different values are made for each row length, type and
/// [role](Role). It is bounded by the disk, not by quantising.
///
/// The result depends on the source and the recipe alone. It is never resumed: an unfinished file is
/// begun anew.
///
/// # Errors
/// As [`quantize`](super::quantize).
pub fn synthesize(
    source: &Synthetic,
    path: &Path,
    recipe: &Recipe,
    options: &QuantizeOptions,
    progress: &mut Progress,
) -> Result<Report> {
    let conversion = Conversion::new(source, recipe)?;
    let encoder = Encoder::new(options.n_threads)?;
    let anew = QuantizeOptions {
        resume: false,
        ..options.clone()
    };
    let writer = open(path, &conversion.plan, &anew, &source.files())?;
    let mut report = conversion.report(source);
    let places = conversion.plan.places();
    let total = places.iter().map(|place| place.n_bytes).sum();
    let mut done = 0;
    let mut stock = Stock::default();
    stream(writer, |sink| {
        for (spec, place) in conversion.specs.iter().zip(places) {
            let mut tell = |done| {
                let tensor = &spec.name;
                match progress(&Event::Converting {
                    done,
                    total,
                    tensor,
                })
                .is_break()
                {
                    true => Err(cancelled()),
                    false => Ok(()),
                }
            };
            let (tiles, errors) = stock.tiles(source, spec, place.ty, &encoder)?;
            if let Some(errors) = errors {
                report.measure(spec.group, place.ty, errors);
            }
            tell(done)?;
            repeat(tiles, place, sink, |n| {
                done += n;
                tell(done)
            })?;
        }
        Ok(())
    })?;
    Ok(report)
}

/// What one kind of matrix has in common.
type Kind = (u64, TensorType, Role);

/// The tiles made so far.
#[derive(Default)]
struct Stock(HashMap<Kind, Vec<Vec<u8>>>);

impl Stock {
    /// The tiles for the tensor `spec` as `ty`; with what was measured of them if they are new.
    fn tiles(
        &mut self,
        source: &Synthetic,
        spec: &TensorSpec,
        ty: TensorType,
        encoder: &Encoder,
    ) -> Result<(&[Vec<u8>], Option<ErrorSums>)> {
        match self.0.entry((spec.dims[0], ty, spec.role)) {
            Entry::Occupied(known) => Ok((known.into_mut(), None)),
            Entry::Vacant(place) => {
                let tensor = source.tensor(spec)?;
                let (tiles, errors) = make(spec, &*tensor, ty, encoder)?;
                Ok((place.insert(tiles), Some(errors)))
            }
        }
    }
}

/// The first rows of a tensor as [`TILES`] tiles, or fewer if it has no more rows.
fn make(
    spec: &TensorSpec,
    tensor: &dyn TensorRows,
    ty: TensorType,
    encoder: &Encoder,
) -> Result<(Vec<Vec<u8>>, ErrorSums)> {
    let per_tile = (TILE / spec.dims[0]).clamp(1, spec.n_rows());
    let row_bytes = Type::from(ty).row_bytes(tensor.row_len());
    let mut errors = ErrorSums::default();
    let mut tiles = Vec::new();
    for number in 0..TILES.min(spec.n_rows() / per_tile) {
        let rows = number * per_tile..(number + 1) * per_tile;
        let mut tile = vec![0; per_tile as usize * row_bytes];
        errors += encoder.encode(&spec.name, tensor, rows, ty, &mut tile)?;
        tiles.push(tile);
    }
    Ok((tiles, errors))
}

/// Sends the bytes of the tensor at `place`, filled with `tiles` in an order of its own. `sent` is
/// told the bytes of each batch.
fn repeat(
    tiles: &[Vec<u8>],
    place: &TensorInfo,
    sink: &Sink,
    mut sent: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut left = place.n_bytes as usize;
    let mut turn = 0;
    while left > 0 {
        let mut batch = sink.buffer(0);
        while left > 0 && batch.len() < BATCH {
            let choice = xxh3_64_with_seed(place.name.as_bytes(), turn) % tiles.len() as u64;
            let tile = &tiles[choice as usize];
            let n = tile.len().min(left);
            batch.extend_from_slice(&tile[..n]);
            left -= n;
            turn += 1;
        }
        let n = batch.len() as u64;
        sink.send(batch)?;
        sent(n)?;
    }
    Ok(())
}
