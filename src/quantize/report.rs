//! What became of the weights: sizes and types by part of the model, the error that quantising
//! made, and everything that was not as asked. Plain data, as text for people and through serde for
//! programs.

use super::encode::{ErrorSums, SAMPLED};
use crate::config::{Group, TensorSpec};
use crate::gguf::{TensorInfo, TensorType};
use serde::Serialize;
use std::fmt;

/// The outcome of a conversion, or of its plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The recipe on one line, as it is recorded in the file.
    pub recipe: String,
    /// Where the weights came from.
    pub source: SourceReport,
    /// Size of the file.
    pub file_bytes: u64,
    /// Number of weights.
    pub weights: u64,
    /// Bits of tensor data per weight.
    pub bits_per_weight: f64,
    /// One entry per part of the model and type, in file order.
    pub groups: Vec<GroupReport>,
    /// Tensors that could not have the type that the recipe names.
    pub fallbacks: Vec<Fallback>,
    /// Tensors kept from an interrupted run, whose errors were not measured again.
    pub resumed_tensors: usize,
    /// Errors were measured on one row in this many.
    pub measured_one_row_in: u64,
}

/// What is known about the source. It is not recorded in the file, which is the same for every
/// layout of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Name of the layout.
    pub format: &'static str,
    /// SHA-256 of params.json or config.json.
    pub config_sha256: String,
    /// What was found and ignored, a sentence each.
    pub notes: Vec<String>,
}

/// The tensors of one type in one part of the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// `vision`, `embedding`, `decoder` or `output`.
    pub group: &'static str,
    /// Name of the type.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of weights.
    pub weights: u64,
    /// Size in the file.
    pub bytes: u64,
    /// Root mean square of the difference that quantising made, relative to that of the weights;
    /// absent where nothing was measured.
    pub rms_error: Option<f64>,
    #[serde(skip)]
    pub(super) errors: ErrorSums,
}

/// A tensor whose rows are not whole blocks of the type that the recipe names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// Name of the tensor.
    pub tensor: String,
    /// The type that the recipe names.
    pub wanted: &'static str,
    /// The type that it has.
    pub used: &'static str,
    /// Values in a row of it.
    pub row_length: u64,
    /// Values in a block of the wanted type.
    pub block: u64,
}

impl Report {
    /// Counts a tensor in.
    pub(super) fn add(&mut self, spec: &TensorSpec, place: &TensorInfo) {
        let entry = self.entry(spec.group, place.ty);
        entry.tensors += 1;
        entry.weights += place.n_elements();
        entry.bytes += place.n_bytes;
        self.weights += place.n_elements();
        let bytes: u64 = self.groups.iter().map(|g| g.bytes).sum();
        self.bits_per_weight = 8.0 * bytes as f64 / self.weights as f64;
    }

    /// Counts in what was measured of a tensor's part.
    pub(super) fn measure(&mut self, group: Group, ty: TensorType, errors: ErrorSums) {
        let entry = self.entry(group, ty);
        entry.errors += errors;
        entry.rms_error = entry.errors.relative_rms();
    }

    fn entry(&mut self, group: Group, ty: TensorType) -> &mut GroupReport {
        let (group, ty) = (part(group), ty.name());
        let known = |g: &GroupReport| g.group == group && g.ty == ty;
        let at = self.groups.iter().position(known).unwrap_or_else(|| {
            self.groups.push(GroupReport {
                group,
                ty,
                tensors: 0,
                weights: 0,
                bytes: 0,
                rms_error: None,
                errors: ErrorSums::default(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// Without tensors yet.
    pub(super) fn new(
        recipe: String,
        source: SourceReport,
        file_bytes: u64,
        fallbacks: Vec<Fallback>,
    ) -> Self {
        Self {
            recipe,
            source,
            file_bytes,
            weights: 0,
            bits_per_weight: 0.0,
            groups: Vec::new(),
            fallbacks,
            resumed_tensors: 0,
            measured_one_row_in: SAMPLED,
        }
    }
}

/// The part of the model that a group belongs to: all layers of the decoder are one.
fn part(group: Group) -> &'static str {
    match group {
        Group::Vision => "vision",
        Group::Embedding => "embedding",
        Group::Block(_) => "decoder",
        Group::Output => "output",
    }
}

impl fmt::Display for Report {
    /// A table, and a line for each thing worth knowing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.groups.iter().any(|g| g.rms_error.is_some());
        write!(f, "group      type    tensors      weights         size")?;
        writeln!(f, "{}", if measured { "  RMS error" } else { "" })?;
        for g in &self.groups {
            write!(
                f,
                "{:<10} {:<7} {:>7} {:>10.2} M {:>9.2} MB",
                g.group,
                g.ty,
                g.tensors,
                g.weights as f64 / 1e6,
                g.bytes as f64 / 1e6
            )?;
            match g.rms_error {
                Some(error) => writeln!(f, " {:>8.3} %", 100.0 * error)?,
                None => writeln!(f)?,
            }
        }
        writeln!(
            f,
            "{}: {:.2} GB, {:.2} bits per weight",
            self.recipe,
            self.file_bytes as f64 / 1e9,
            self.bits_per_weight
        )?;
        if measured {
            writeln!(
                f,
                "RMS error: of the weights' difference, relative to the weights; one row in {}",
                self.measured_one_row_in
            )?;
        }
        if self.resumed_tensors > 0 {
            writeln!(
                f,
                "{} tensors were kept from an earlier run and not measured again",
                self.resumed_tensors
            )?;
        }
        for fallback in &self.fallbacks {
            writeln!(f, "note: {fallback}")?;
        }
        for note in &self.source.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} instead of {}: rows of {} values are not whole blocks of {}",
            self.tensor, self.used, self.wanted, self.row_length, self.block
        )
    }
}
