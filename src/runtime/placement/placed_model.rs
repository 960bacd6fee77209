//! A model with its weights where a plan puts them.

use super::{devices::Candidate, measure::describe, plan::Plan};
use crate::{
    Result,
    config::Group,
    ggml::{Backend, Buffer, CancelFlag, Device, Tensor},
    gguf::{self, Advice},
    model::Weights,
    runtime::{DecoderOptions, Model},
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    sync::Arc,
};

/// Most bytes that are sent to a device at once. More than what workers store by hash, less than
/// what small machines have no room for beside the weights.
const PIECE: usize = 32 << 20;

/// A model whose weights are where a [`Plan`] puts them: in devices' memory, or mapped from the file
/// for the CPU. Any number of decoders and encoders can share one.
pub struct PlacedModel {
    model: Arc<Model>,
    plan: Plan,
    /// The plan's, without the CPU.
    devices: Vec<Device>,
    weights: Weights,
}

/// How far the upload of weights is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes that are in devices' memory.
    pub done: u64,
    /// Bytes that will be.
    pub total: u64,
    /// What is in turn.
    pub group: Group,
}

/// Weights that have memory on a device but are not there yet.
pub(super) struct Pending(Vec<(Group, Vec<Tensor>)>);

impl PlacedModel {
    /// All of `model` on the CPU, where it lies in the file.
    /// `notes` are kept in the plan.
    pub(in crate::runtime) fn on_cpu(
        model: Arc<Model>,
        options: &DecoderOptions,
        notes: Vec<String>,
    ) -> Result<Arc<Self>> {
        let mut plan = Plan::cpu(&model, options)?;
        plan.notes = notes;
        let weights = Weights::collect(model.config(), |name| model.tensor(name))?;
        Ok(Arc::new(Self {
            model,
            plan,
            devices: Vec::new(),
            weights,
        }))
    }

    /// Allocates what `plan`, made for `candidates`, puts on devices. Index and error of the device
    /// that has no room after all, or is gone.
    pub(super) fn allocate(
        model: Arc<Model>,
        plan: Plan,
        candidates: &[Candidate],
    ) -> Result<(Arc<Self>, Pending), (usize, crate::Error)> {
        let cpu = plan.cpu_index();
        let mut moved = HashMap::new();
        let mut pending = Vec::new();
        for group in groups(&plan) {
            let d = plan.device_of(group);
            if d == cpu {
                continue;
            }
            let tensors =
                allocate_group(&model, group, &candidates[d].device).map_err(|e| (d, e))?;
            pending.push((group, tensors.values().cloned().collect()));
            moved.extend(tensors);
        }
        let weights = Weights::collect(model.config(), |name| match moved.remove(name) {
            Some(tensor) => Ok(tensor),
            None => model.tensor(name),
        })
        .map_err(|e| (cpu, e))?;
        let placed = Self {
            model,
            plan,
            devices: candidates.iter().map(|c| c.device.clone()).collect(),
            weights,
        };
        Ok((Arc::new(placed), Pending(pending)))
    }

    /// Copies the weights that are `pending` to their devices, one group after the other, and gives
    /// the file's pages back after each. `progress` may end it, with an error of kind `Cancelled`.
    pub(super) fn upload(
        &self,
        pending: Pending,
        progress: &mut dyn FnMut(Uploaded) -> ControlFlow<()>,
    ) -> Result<()> {
        let file = self.model.file();
        let cancel = CancelFlag::default();
        let bytes = |tensors: &[Tensor]| tensors.iter().map(|t| t.n_bytes() as u64).sum::<u64>();
        let total = pending.0.iter().map(|(_, tensors)| bytes(tensors)).sum();
        let mut done = 0;
        for (group, tensors) in pending.0 {
            for mut tensor in tensors {
                let info = file.tensor(&tensor.name())?;
                let mut offset = 0;
                for piece in pieces(file.data(info)) {
                    let uploaded = Uploaded { done, total, group };
                    if progress(uploaded).is_break() {
                        cancel.cancel();
                    }
                    cancel.check()?;
                    tensor.write_bytes(offset, piece)?;
                    offset += piece.len();
                    done += piece.len() as u64;
                }
                release(file, info);
            }
        }
        Ok(())
    }

    /// The model as it is in the file.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Where its parts are.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The weights where they were put.
    pub(in crate::runtime) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The device with the index `d` in the plan.
    pub(in crate::runtime) fn device(&self, d: usize) -> Result<Device> {
        match self.devices.get(d) {
            Some(device) => Ok(device.clone()),
            None => Device::cpu(),
        }
    }

    /// Backends of the devices other than the CPU that `groups` are on, in the plan's order.
    pub(in crate::runtime) fn backends(
        &self,
        groups: impl Iterator<Item = Group>,
        cancel: &CancelFlag,
    ) -> Result<Vec<Backend>> {
        let used: BTreeSet<usize> = groups.map(|group| self.plan.device_of(group)).collect();
        let devices = used.into_iter().filter_map(|d| self.devices.get(d));
        devices.map(|d| Backend::on(d, cancel.clone())).collect()
    }

    /// The devices other than the CPU that are gone, though weights were put there.
    pub(in crate::runtime) fn lost(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.is_lost())
    }
}

/// All groups in the order of the file.
fn groups(plan: &Plan) -> impl Iterator<Item = Group> + use<> {
    let blocks = (0..plan.layers.len() as u32).map(Group::Block);
    [Group::Vision, Group::Embedding]
        .into_iter()
        .chain(blocks)
        .chain([Group::Output])
}

fn allocate_group(model: &Model, group: Group, device: &Device) -> Result<HashMap<String, Tensor>> {
    let (context, tensors) = describe(model, |g| g == group)?;
    Buffer::allocate_weights_on(&context, device).map_err(|e| e.context(group))?;
    Ok(tensors)
}

/// `data` in parts of nearly equal size, none larger than [`PIECE`].
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let n = data.len().div_ceil(PIECE).max(1);
    data.chunks(data.len().div_ceil(n).max(1))
}

fn release(file: &gguf::File, info: &gguf::TensorInfo) {
    file.advise(info.offset..info.offset + info.n_bytes, Advice::DontNeed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_equal_and_together_everything() {
        let data = vec![1; 2 * PIECE + 5];
        let sizes: Vec<usize> = pieces(&data).map(<[u8]>::len).collect();
        assert_eq!(sizes.len(), 3);
        assert_eq!(sizes.iter().sum::<usize>(), data.len());
        assert!(sizes[0] <= PIECE && sizes[0] - sizes[2] <= 2);
        assert_eq!(pieces(&[1, 2, 3]).count(), 1);
    }
}
