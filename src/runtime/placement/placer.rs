//! Putting a decoder on devices, and again on fewer of them when one has less room than it said or
//! is gone.

use super::{
    devices::{Candidate, PlacementOptions},
    placed_model::{PlacedModel, Uploaded},
    plan::Plan,
};
use crate::{
    Error, ErrorKind, Result,
    ggml::CancelFlag,
    runtime::{Decoder, DecoderOptions, Model},
};
use std::{ops::ControlFlow, sync::Arc};

/// Places decoders on the devices that a user has named, to which it stays connected.
pub struct Placer {
    options: PlacementOptions,
    candidates: Vec<Candidate>,
}

/// Why a plan could not be carried out.
struct Setback {
    error: Error,
    /// Index of the device that the error is about, if only one can be.
    device: Option<usize>,
    plan: Plan,
}

impl Placer {
    /// Finds the devices that `options` name, and connects to those on other machines.
    ///
    /// Errors with `InvalidArgument` if one does not exist, with `DeviceLost` if one does not answer.
    pub fn new(options: PlacementOptions) -> Result<Self> {
        Ok(Self {
            candidates: Candidate::find(&options)?,
            options,
        })
    }

    /// Where the parts of `model` would go, for a decoder that is set up by `options`. Nothing is
    /// allocated.
    pub fn plan(&self, model: &Model, options: &DecoderOptions) -> Result<Plan> {
        options.check(model)?;
        Plan::make(model, options, &self.options, &self.candidates)
    }

    /// A decoder with an empty cache, placed as planned; `progress` follows the upload of weights.
    ///
    /// If a device has no room for its part after all, or is gone, it gets less or nothing, down to a
    /// decoder on the CPU alone; the plan's notes say so.
    pub fn decoder(
        &mut self,
        model: &Arc<Model>,
        options: &DecoderOptions,
        cancel: &CancelFlag,
        progress: &mut dyn FnMut(Uploaded) -> ControlFlow<()>,
    ) -> Result<Decoder> {
        options.check(model)?;
        let mut notes = self.forget_lost();
        while !self.candidates.is_empty() {
            match self.attempt(model, options, &notes, cancel, progress) {
                Ok(decoder) => return Ok(decoder),
                Err(setback) => notes.push(self.learn(*setback)?),
            }
        }
        let on_cpu = PlacedModel::on_cpu(model.clone(), options, notes)?;
        Decoder::of(on_cpu, options, cancel.clone())
    }

    fn attempt(
        &self,
        model: &Arc<Model>,
        options: &DecoderOptions,
        notes: &[String],
        cancel: &CancelFlag,
        progress: &mut dyn FnMut(Uploaded) -> ControlFlow<()>,
    ) -> Result<Decoder, Box<Setback>> {
        let mut plan = self
            .plan(model, options)
            .map_err(|error| self.setback(error))?;
        plan.notes.splice(..0, notes.iter().cloned());
        let failed = |device: Option<usize>, error: Error| {
            Box::new(Setback {
                error,
                device,
                plan: plan.clone(),
            })
        };
        let (placed, pending) =
            PlacedModel::allocate(model.clone(), plan.clone(), &self.candidates)
                .map_err(|(d, error)| failed(Some(d), error))?;
        let failed = |error| failed(None, error);
        let mut decoder = Decoder::of(placed.clone(), options, cancel.clone()).map_err(failed)?;
        if !plan.is_cpu_only() {
            decoder.reserve(options).map_err(failed)?;
        }
        placed.upload(pending, progress).map_err(failed)?;
        Ok(decoder)
    }

    /// A setback before there was a plan.
    fn setback(&self, error: Error) -> Box<Setback> {
        Box::new(Setback {
            error,
            device: None,
            plan: Plan::default(),
        })
    }

    /// Expects less of the device that a setback is about and returns a note about it, or the error
    /// if that would not help.
    fn learn(&mut self, setback: Setback) -> Result<String> {
        let Setback {
            error,
            device,
            plan,
        } = setback;
        let lost = self.forget_lost();
        if error.kind() == ErrorKind::DeviceLost && !lost.is_empty() {
            return Ok(lost.join("; "));
        }
        if error.kind() != ErrorKind::OutOfMemory {
            return Err(error);
        }
        let mut shrunk = false;
        for (d, candidate) in self.candidates.iter_mut().enumerate() {
            let used = plan.devices.get(d).map_or(0, |device| device.usage.total());
            if used > 0 && device.is_none_or(|only| only == d) {
                candidate.budget = used - used.div_ceil(8);
                shrunk = true;
            }
        }
        match shrunk {
            true => Ok(format!("{error}: planned again with less")),
            false => Err(error),
        }
    }

    /// Forgets devices that are gone, and what was wished for them; a note for each.
    fn forget_lost(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let (options, mut d) = (&mut self.options, 0);
        self.candidates.retain(|candidate| {
            let gone = candidate.device.check().err();
            match &gone {
                None => d += 1,
                Some(error) => {
                    notes.push(format!("{error}: planned again without it"));
                    if options.vision_device.as_deref() == Some(candidate.device.name()) {
                        options.vision_device = None;
                    }
                    if d < options.tensor_split.len() {
                        options.tensor_split.remove(d);
                    }
                }
            }
            gone.is_none()
        });
        if options.tensor_split.iter().sum::<f64>() <= 0.0 {
            options.tensor_split.clear();
        }
        notes
    }
}
