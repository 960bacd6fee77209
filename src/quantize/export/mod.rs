//! One file of ours to llama.cpp's pair: the text half, and the vision half that it calls mmproj.
//!
//! Both halves' tensors keep their names, types and bytes; only the metadata is another, and the
//! vision half holds one embedding row more. Uses the container, the blueprint, the tokenizer and
//! ggml's conversion to f32; knows nothing of checkpoints and recipes. What is required was read in
//! llama.cpp's source as the package llama-cpp-sys-2 0.1.161 holds it; `docs/FORMAT.md` lists it.

mod mmproj;
#[cfg(test)]
mod tests;
mod text;

use super::output::{open, same_file};
use super::plan::QUANTIZATION_VERSION;
use super::{Event, Progress, QuantizeOptions, cancelled};
use crate::config::{Config, Group, TensorSpec, inventory};
use crate::gguf::{DEFAULT_ALIGNMENT, File, Metadata, Plan, PlannedTensor, TensorType};
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use std::path::{Path, absolute};

/// Bytes that are copied between two calls for progress.
const STEP: usize = 8 << 20;

/// How an export is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Replace files of the same names, each in one step when it is complete.
    pub overwrite: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The half with the decoder and the tokenizer.
    pub text: HalfReport,
    /// The half with the vision tower and the projector.
    pub mmproj: HalfReport,
}

/// What was written into one file of the pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HalfReport {
    /// Number of tensors.
    pub tensors: usize,
    /// Size of the file.
    pub file_bytes: u64,
}

/// Writes the model in `file` as llama.cpp's pair of files, `text` and `mmproj`.
///
/// Takes as long as copying takes: weights are neither changed nor kept in memory.
///
/// # Errors
/// `UnsupportedModel` if `file` is not a whole Pixtral, or one that llama.cpp would run otherwise
/// (its code fixes the tower's rotary base and the pattern that cuts text); `InvalidFile` if a tensor is missing
/// or has another shape; `InvalidArgument` if a target exists, or if two of the three paths are the
/// same; `DiskFull`, other I/O kinds, and `Cancelled` if `progress` broke off. A file that was not
/// completed is left as `<name>.partial`.
pub fn export(
    file: &File,
    text: &Path,
    mmproj: &Path,
    options: ExportOptions,
    progress: &mut Progress,
) -> Result<ExportReport> {
    check_paths(file.path(), text, mmproj, options)?;
    let name = file.path().display();
    let halves = plan(file).map_err(|e| e.context(name))?;
    let total = halves.iter().map(Half::tensor_bytes).sum();
    let mut copied = Copied {
        done: 0,
        total,
        progress,
    };
    let [text_half, vision_half] = &halves;
    text_half.write(text, options, &mut copied)?;
    vision_half.write(mmproj, options, &mut copied)?;
    Ok(ExportReport {
        text: text_half.report(),
        mmproj: vision_half.report(),
    })
}

/// Refuses targets that may not be written before anything is.
fn check_paths(model: &Path, text: &Path, mmproj: &Path, options: ExportOptions) -> Result<()> {
    let refuse = |path: &Path, why| {
        let what = format!("{}: {why}", path.display());
        Err(Error::new(ErrorKind::InvalidArgument, what))
    };
    let same_name = matches!((absolute(text), absolute(mmproj)), (Ok(a), Ok(b)) if a == b);
    if same_name || same_file(text, mmproj) {
        return refuse(
            text,
            "is named for both files; choose two names for the pair",
        );
    }
    for path in [text, mmproj] {
        if same_file(model, path) {
            return refuse(path, "is the file to export; choose another name");
        }
        if path.exists() && !options.overwrite {
            return refuse(
                path,
                "exists already; choose another name or ask for it to be overwritten",
            );
        }
    }
    Ok(())
}

/// One file of the pair: its plan, and the bytes of each of its tensors.
struct Half<'a> {
    plan: Plan,
    data: Vec<Data<'a>>,
}

/// Where a tensor's bytes are.
enum Data<'a> {
    Mapped(&'a [u8]),
    Made(Vec<u8>),
}

impl Data<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Data::Mapped(bytes) => bytes,
            Data::Made(bytes) => bytes,
        }
    }
}

/// Lays out the text half and the vision half.
fn plan(file: &File) -> Result<[Half<'_>; 2]> {
    let config = Config::from_metadata(file.metadata())?;
    let tokenizer = Tokenizer::from_metadata(file.metadata())?;
    let (vision, text): (Vec<_>, Vec<_>) = inventory(&config)
        .into_iter()
        .partition(|spec| spec.group == Group::Vision);
    let text = Half::new(
        text::metadata(&config, &tokenizer, file.metadata())?,
        copies(file, &text)?,
    )?;
    let mut tensors = copies(file, &vision)?;
    tensors.push(mmproj::image_break(file, &config)?);
    let vision = Half::new(mmproj::metadata(&config, file.metadata())?, tensors)?;
    Ok([text, vision])
}

/// What both halves say about themselves, as our file says it.
fn general(ours: &Metadata, metadata: &mut Metadata) {
    metadata.insert("general.quantization_version", QUANTIZATION_VERSION);
    for key in ["general.name", "general.file_type"] {
        if let Some(value) = ours.get(key) {
            metadata.insert(key, value.clone());
        }
    }
}

/// The tensors of `file` that `specs` name, as they are.
fn copies<'a>(file: &'a File, specs: &[TensorSpec]) -> Result<Vec<(PlannedTensor, Data<'a>)>> {
    specs
        .iter()
        .map(|spec| {
            let tensor = file.tensor(&spec.name)?;
            if tensor.dims != spec.dims {
                return Err(Error::new(
                    ErrorKind::InvalidFile,
                    format!(
                        "tensor {}: expected {:?}, found {:?}; the file is damaged or of another \
                         model",
                        spec.name, spec.dims, tensor.dims
                    ),
                ));
            }
            let planned = planned(&spec.name, tensor.ty, &spec.dims);
            Ok((planned, Data::Mapped(file.data(tensor))))
        })
        .collect()
}

fn planned(name: &str, ty: TensorType, dims: &[u64]) -> PlannedTensor {
    PlannedTensor {
        name: name.to_owned(),
        ty,
        dims: dims.to_vec(),
        align: DEFAULT_ALIGNMENT,
    }
}

impl<'a> Half<'a> {
    fn new(metadata: Metadata, tensors: Vec<(PlannedTensor, Data<'a>)>) -> Result<Self> {
        let (tensors, data) = tensors.into_iter().unzip();
        Ok(Self {
            plan: Plan::new(metadata, tensors)?,
            data,
        })
    }

    fn tensor_bytes(&self) -> u64 {
        self.plan.places().iter().map(|place| place.n_bytes).sum()
    }

    fn write(&self, path: &Path, options: ExportOptions, copied: &mut Copied) -> Result<()> {
        let how = QuantizeOptions {
            overwrite: options.overwrite,
            resume: false,
            n_threads: None,
        };
        let mut writer = open(path, &self.plan, &how, &[])?;
        for (place, data) in self.plan.places().iter().zip(&self.data) {
            for part in data.bytes().chunks(STEP) {
                copied.at(&place.name)?;
                writer.write(part)?;
                copied.done += part.len() as u64;
            }
        }
        writer.finish()
    }

    fn report(&self) -> HalfReport {
        HalfReport {
            tensors: self.data.len(),
            file_bytes: self.plan.file_size(),
        }
    }
}

/// Progress over both files.
struct Copied<'a, 'b> {
    done: u64,
    total: u64,
    progress: &'a mut Progress<'b>,
}

impl Copied<'_, '_> {
    fn at(&mut self, tensor: &str) -> Result<()> {
        let event = Event::Converting {
            done: self.done,
            total: self.total,
            tensor,
        };
        match (self.progress)(&event).is_break() {
            true => Err(cancelled()),
            false => Ok(()),
        }
    }
}
