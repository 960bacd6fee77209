//! The one pass from source to file: tiles of rows are loaded ahead, quantised by all threads,
//! handed to the writer in order, and their pages given back. What is in memory at any time is a
//! few tiles, whatever the size of the checkpoint.

use super::encode::Encoder;
use super::jobs::jobs;
use super::output::{Sink, open, stream};
use super::plan::Conversion;
use super::{Event, Progress, QuantizeOptions, Recipe, Report, cancelled, kept};
use crate::Result;
use crate::checkpoint::{TensorRows, TensorSource};
use crate::ggml::Type;
use crate::gguf::partial_path;
use std::path::Path;

/// Tiles that the operating system is asked to load while one is quantised.
const AHEAD: usize = 2;

/// Converts `source` by `recipe` to the GGUF file `path`.
///
/// The file gets its name when it is complete. Until then it is `<path>.partial`, and stays so
/// after an error or when `progress` breaks off, to be resumed by the same call; the result is the
/// same, byte for byte. Memory stays within a few hundred MiB.
///
/// # Errors
/// - `InvalidTensor` if weights are not finite or out of range, naming the tensor.
/// - `InvalidCheckpoint`, `UnsupportedType` or `InvalidArgument` if source, recipe or file name do
///   not work, or an unfinished file is of another conversion.
/// - `DiskFull` if the file does not fit, before anything is written if that can be foreseen.
/// - `Cancelled`, and the kinds of [`Error::io`](crate::Error::io).
pub fn quantize(
    source: &dyn TensorSource,
    path: &Path,
    recipe: &Recipe,
    options: &QuantizeOptions,
    progress: &mut Progress,
) -> Result<Report> {
    let conversion = Conversion::new(source, recipe)?;
    let encoder = Encoder::new(options.n_threads)?;
    let tensors = conversion
        .specs
        .iter()
        .map(|spec| source.tensor(spec))
        .collect::<Result<Vec<_>>>()?;
    let inputs = source.files();
    if options.resume {
        kept::check_age(&partial_path(path), &inputs)?;
    }
    let writer = open(path, &conversion.plan, options, &inputs)?;
    let mut report = conversion.report(source);
    report.resumed_tensors = writer.resumed();
    if writer.resumed() > 0 {
        kept::check_weights(
            &partial_path(path),
            &conversion.plan.places()[..writer.resumed()],
            tensors.iter().map(|tensor| &**tensor),
            &encoder,
        )?;
        let event = Event::Resuming {
            tensors: writer.resumed(),
            of: tensors.len(),
        };
        if progress(&event).is_break() {
            return Err(cancelled());
        }
    }
    let mut pass = Pass {
        conversion: &conversion,
        encoder: &encoder,
        tensors: &tensors,
        report: &mut report,
        progress,
    };
    stream(writer, |sink| pass.run(sink))?;
    Ok(report)
}

/// A conversion under way.
struct Pass<'a, 'p> {
    conversion: &'a Conversion,
    encoder: &'a Encoder,
    tensors: &'a [Box<dyn TensorRows + 'a>],
    report: &'a mut Report,
    progress: &'a mut Progress<'p>,
}

impl Pass<'_, '_> {
    /// Sends the bytes of all tensors that are not kept.
    fn run(&mut self, sink: &Sink) -> Result<()> {
        let first = self.report.resumed_tensors;
        let sizes = || self.tensors.iter().map(|tensor| tensor.n_bytes());
        let total = sizes().sum();
        let mut done = sizes().take(first).sum();
        let jobs = jobs(&self.conversion.specs, first);
        for job in jobs.iter().take(AHEAD) {
            self.tensors[job.tensor].will_need(job.rows.clone());
        }
        for (number, job) in jobs.iter().enumerate() {
            if let Some(later) = jobs.get(number + AHEAD) {
                self.tensors[later.tensor].will_need(later.rows.clone());
            }
            let (spec, place) = (
                &self.conversion.specs[job.tensor],
                &self.conversion.plan.places()[job.tensor],
            );
            self.tell(done, total, &spec.name)?;
            let (tensor, rows) = (&*self.tensors[job.tensor], job.rows.clone());
            let n_rows = rows.end - rows.start;
            let row_bytes = Type::from(place.ty).row_bytes(tensor.row_len());
            let mut tile = sink.buffer(n_rows as usize * row_bytes);
            let encode = &self.encoder;
            let errors = encode.encode(&spec.name, tensor, rows.clone(), place.ty, &mut tile)?;
            tensor.release(rows);
            self.report.measure(spec.group, place.ty, errors);
            sink.send(tile)?;
            done += n_rows * (tensor.row_len() * tensor.dtype().size()) as u64;
            if number + 1 == jobs.len() {
                self.tell(done, total, &spec.name)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, done: u64, total: u64, tensor: &str) -> Result<()> {
        let event = Event::Converting {
            done,
            total,
            tensor,
        };
        match (self.progress)(&event).is_break() {
            true => Err(cancelled()),
            false => Ok(()),
        }
    }
}
