//! Lays out the file that a recipe makes of a source: metadata, tensors, alignment.
//!
//! Nothing in it depends on which layout the checkpoint was published in, nor on its name or the
//! time, so that the same weights always give the same bytes.

use super::mixture::file_type;
use super::recipe::{Assignment, Recipe};
use super::report::{Report, SourceReport};
use crate::checkpoint::TensorSource;
use crate::config::{ARCHITECTURE, TensorSpec, inventory};
use crate::gguf::{ALIGNMENT_KEY, ARCHITECTURE_KEY, Metadata, Plan, PlannedTensor};
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};

/// Alignment of every tensor: a page, so that groups can be mapped and released one by one. The
/// same for all, since ggml's own reader accepts no gaps beyond one common alignment.
const ALIGNMENT: u64 = 4096;

/// Version of ggml's block formats (`GGML_QNT_VERSION` in ggml.h).
pub(super) const QUANTIZATION_VERSION: u32 = 2;

/// A conversion that has been thought through: every tensor's type and place.
pub(super) struct Conversion {
    /// The tensors in file order.
    pub specs: Vec<TensorSpec>,
    /// The file.
    pub plan: Plan,
    recipe: String,
    assignment: Assignment,
}

impl Conversion {
    /// Plans the file that `recipe` makes of `source`.
    pub fn new(source: &dyn TensorSource, recipe: &Recipe) -> Result<Self> {
        let specs = inventory(source.config());
        let assignment = recipe.assign(source.config(), &specs)?;
        let metadata = metadata(source, recipe)?;
        let tensors = specs
            .iter()
            .zip(&assignment.types)
            .map(|(spec, &ty)| PlannedTensor {
                name: spec.name.clone(),
                ty,
                dims: spec.dims.clone(),
                align: ALIGNMENT,
            })
            .collect();
        Ok(Self {
            plan: Plan::new(metadata, tensors)?,
            specs,
            recipe: recipe.to_string(),
            assignment,
        })
    }

    /// The report as far as it is known before the weights are read.
    pub fn report(&self, source: &dyn TensorSource) -> Report {
        let about = SourceReport {
            format: source.format().name(),
            config_sha256: source.config_sha256().to_owned(),
            notes: source.notes().to_vec(),
        };
        let mut report = Report::new(
            self.recipe.clone(),
            about,
            self.plan.file_size(),
            self.assignment.fallbacks.clone(),
        );
        for (spec, place) in self.specs.iter().zip(self.plan.places()) {
            report.add(spec, place);
        }
        report
    }
}

fn metadata(source: &dyn TensorSource, recipe: &Recipe) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    metadata.insert(ARCHITECTURE_KEY, ARCHITECTURE);
    metadata.insert("general.name", "Pixtral");
    metadata.insert(ALIGNMENT_KEY, ALIGNMENT as u32);
    metadata.insert("general.quantization_version", QUANTIZATION_VERSION);
    if let Some(number) = file_type(recipe.base()) {
        metadata.insert("general.file_type", number);
    }
    metadata.insert("pixtral.quantize.recipe", recipe.to_string());
    metadata.insert("pixtral.quantize.version", env!("CARGO_PKG_VERSION"));
    source.config().to_metadata(&mut metadata);
    tokenizer(source)?.to_metadata(&mut metadata);
    Ok(metadata)
}

/// The source's tokenizer, which must be the model's: the runtime opens nothing else.
fn tokenizer(source: &dyn TensorSource) -> Result<Tokenizer> {
    let tokenizer = source.tokenizer()?;
    let (tokens, rows) = (tokenizer.vocab_size(), source.config().text.vocab_size);
    if tokens == rows {
        return Ok(tokenizer);
    }
    Err(Error::new(
        ErrorKind::InvalidCheckpoint,
        format!(
            "the tokenizer has {tokens} tokens but the model {rows}: use the tokenizer file that \
             was published with the weights"
        ),
    ))
}
