//! The plan: which device takes which part of a model, and how much memory that needs.

use super::{
    devices::{Candidate, PlacementOptions},
    measure::Measure,
    planner::{Assignment, Demands, Limits, Room, Usage, VisionPlace, Work, assign, usage},
};
use crate::{
    Error, ErrorKind, Result,
    config::Group,
    ggml::{Device, DeviceKind, Memory},
    runtime::{DecoderOptions, Model},
};

/// Where the parts of a model are: indexes into [`devices`](Self::devices), of which the last is the
/// CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The devices that were considered, in order of preference, then the CPU.
    pub devices: Vec<DevicePlan>,
    /// The vision tower and projector.
    pub vision: usize,
    /// The token embedding: always the CPU, which reads a row of it for each token.
    pub embedding: usize,
    /// Each decoder layer with its part of the key-value cache, first to last.
    pub layers: Vec<usize>,
    /// The final norm and the output matrix.
    pub output: usize,
    /// What became of wishes that could not be fulfilled, a sentence each.
    pub notes: Vec<String>,
}

/// A device and what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Its memory before anything was put there.
    pub memory: Memory,
    /// Most bytes to use; `None` for the CPU, which takes what is left over.
    pub budget: Option<u64>,
    /// How many decoder layers it gets.
    pub n_layers: usize,
    /// What it gets, in bytes. Weights on the CPU are mapped from the file.
    pub usage: Usage,
}

/// How often a plan is made anew because it needs more working memory than its parts seemed to.
const ATTEMPTS: usize = 4;

impl Plan {
    /// Everything on the CPU, whose working memory is not measured.
    pub(super) fn cpu(model: &Model, options: &DecoderOptions) -> Result<Self> {
        let demands = Demands::of(model, options, &[])?;
        let assignment = assign(&demands, &[], &Limits::default());
        Self::new(model, &demands, &[], &[], &assignment, 0)
    }

    /// Decides where the parts of `model` go, for a decoder that is set up by `options`. Nothing is
    /// allocated: what the graphs need is measured without.
    pub(super) fn make(
        model: &Model,
        options: &DecoderOptions,
        placement: &PlacementOptions,
        candidates: &[Candidate],
    ) -> Result<Self> {
        let limits = limits(placement, candidates)?;
        let demands = Demands::of(model, options, candidates)?;
        let devices: Vec<Device> = candidates.iter().map(|c| c.device.clone()).collect();
        let measure = Measure::new(model, options, &devices)?;
        let mut rooms = candidates
            .iter()
            .enumerate()
            .map(|(d, candidate)| {
                Ok(Room {
                    budget: candidate.budget,
                    work: measure.parts_on(d)?,
                    takes_vision: candidate.takes_vision(),
                })
            })
            .collect::<Result<Vec<Room>>>()?;
        let mut assignment = assign(&demands, &rooms, &limits);
        let mut work = measure.whole(&assignment)?;
        for _ in 0..ATTEMPTS {
            let given = usage(&demands, &rooms, &assignment);
            let mut enough = true;
            for (d, room) in rooms.iter_mut().enumerate() {
                // What passes between devices is in no part alone.
                let lacking = work[d].saturating_sub(given[d].work);
                room.work = room.work.with(lacking);
                enough &= lacking == 0;
            }
            if enough {
                break;
            }
            assignment = assign(&demands, &rooms, &limits);
            work = measure.whole(&assignment)?;
        }
        let cpu_work = work[candidates.len()];
        let mut plan = Self::new(model, &demands, candidates, &rooms, &assignment, cpu_work)?;
        plan.note_unfulfilled(&demands, &rooms, &limits, placement);
        Ok(plan)
    }

    fn new(
        model: &Model,
        demands: &Demands,
        candidates: &[Candidate],
        rooms: &[Room],
        assignment: &Assignment,
        cpu_work: u64,
    ) -> Result<Self> {
        let cpu = candidates.len();
        let place = |place: Option<usize>| place.unwrap_or(cpu);
        let layers: Vec<usize> = assignment.layers.iter().map(|&d| place(d)).collect();
        let n_layers = |d: usize| layers.iter().filter(|&&place| place == d).count();
        let used = usage(demands, rooms, assignment);
        let mut devices: Vec<DevicePlan> = candidates
            .iter()
            .enumerate()
            .map(|(d, candidate)| DevicePlan {
                name: candidate.device.name().to_owned(),
                description: candidate.device.description().to_owned(),
                kind: candidate.device.kind(),
                memory: candidate.memory,
                budget: Some(candidate.budget),
                n_layers: n_layers(d),
                usage: used[d],
            })
            .collect();
        let processor = Device::cpu()?;
        devices.push(DevicePlan {
            name: processor.name().to_owned(),
            description: processor.description().to_owned(),
            kind: processor.kind(),
            memory: processor.memory()?,
            budget: None,
            n_layers: n_layers(cpu),
            usage: Usage {
                work: cpu_work,
                ..on_cpu(model, demands, assignment)
            },
        });
        Ok(Self {
            devices,
            vision: place(assignment.vision),
            embedding: cpu,
            layers,
            output: place(assignment.output),
            notes: Vec::new(),
        })
    }

    /// Index of the CPU.
    pub fn cpu_index(&self) -> usize {
        self.devices.len() - 1
    }

    /// Decoder layers that are not on the CPU.
    pub fn n_offloaded(&self) -> usize {
        self.layers.len() - self.devices[self.cpu_index()].n_layers
    }

    /// Whether everything is on the CPU.
    pub fn is_cpu_only(&self) -> bool {
        let cpu = self.cpu_index();
        let others = [self.vision, self.output];
        self.n_offloaded() == 0 && others.iter().all(|&d| d == cpu)
    }

    /// Whether tower and decoder can compute at the same time: the tower's device has no layer of the
    /// decoder. It may have the output, which is needed once in a prompt, unless it is another machine,
    /// for which one graph waits until the other is through.
    pub fn has_vision_apart(&self) -> bool {
        let has_output = self.output == self.vision;
        let waits = has_output && self.devices[self.vision].kind == DeviceKind::Remote;
        !waits && !self.layers.contains(&self.vision)
    }

    /// How many of `n_threads` the decoder has a use for. A table's rows take one, and threads that
    /// wait for more keep their cores busy.
    pub(in crate::runtime) fn decoder_threads(&self, n_threads: usize) -> usize {
        let cpu = self.cpu_index();
        match self.output == cpu || self.layers.contains(&cpu) {
            true => n_threads,
            false => 1,
        }
    }

    /// The device of a group of tensors.
    pub fn device_of(&self, group: Group) -> usize {
        match group {
            Group::Vision => self.vision,
            Group::Embedding => self.embedding,
            Group::Block(i) => self.layers[i as usize],
            Group::Output => self.output,
        }
    }

    /// Takes note of wishes that the budgets did not allow.
    fn note_unfulfilled(
        &mut self,
        demands: &Demands,
        rooms: &[Room],
        limits: &Limits,
        placement: &PlacementOptions,
    ) {
        let cpu = self.cpu_index();
        if let VisionPlace::Device(d) = limits.vision
            && self.vision != d
        {
            let needed = demands.vision + rooms[d].work.vision;
            self.notes.push(format!(
                "the vision tower stays on the CPU: it needs {}, and {} has {} for it",
                mebibytes(needed),
                self.devices[d].name,
                mebibytes(rooms[d].budget)
            ));
        }
        let wanted = match placement.gpu_layers {
            super::GpuLayers::Auto => return,
            super::GpuLayers::Count(n) => n.min(self.layers.len()),
            super::GpuLayers::All => self.layers.len(),
        };
        let placed = self.n_offloaded();
        if placed < wanted && cpu > 0 {
            self.notes.push(format!(
                "{placed} of {wanted} layers fit beside the CPU, the others stay on it"
            ));
        }
    }
}

fn mebibytes(n_bytes: u64) -> String {
    format!("{:.0} MiB", n_bytes as f64 / f64::from(1 << 20))
}

/// What stays on the CPU, working memory not counted.
fn on_cpu(model: &Model, demands: &Demands, assignment: &Assignment) -> Usage {
    let mut usage = Usage {
        weights: model.group_bytes(Group::Embedding),
        ..Usage::default()
    };
    if assignment.vision.is_none() {
        usage.weights += model.group_bytes(Group::Vision);
    }
    if assignment.output.is_none() {
        usage.weights += model.group_bytes(Group::Output);
    }
    for (i, layer) in demands.layers.iter().enumerate() {
        if assignment.layers[i].is_none() {
            usage.weights += model.group_bytes(Group::Block(i as u32));
            usage.cache += layer.cache;
        }
    }
    usage
}

/// The planner's limits, with devices by index.
fn limits(placement: &PlacementOptions, candidates: &[Candidate]) -> Result<Limits> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
    let split = &placement.tensor_split;
    let sound = split.iter().all(|share| share.is_finite() && *share >= 0.0);
    if !split.is_empty() && (!sound || split.iter().sum::<f64>() <= 0.0) {
        return invalid(format!(
            "the split {split:?} is no proportion, expected numbers of which one is more than 0"
        ));
    }
    if !split.is_empty() && split.len() != candidates.len() {
        return invalid(format!(
            "the split has {} numbers for {} devices, expected one for each",
            split.len(),
            candidates.len()
        ));
    }
    let vision = match placement.vision_device.as_deref() {
        None => VisionPlace::Auto,
        Some("cpu") => VisionPlace::Cpu,
        Some(name) => match candidates.iter().position(|c| c.device.name() == name) {
            Some(d) => VisionPlace::Device(d),
            None => {
                return invalid(format!(
                    "{name}, which is to take the vision tower, is not among the devices to use"
                ));
            }
        },
    };
    Ok(Limits {
        layers: placement.gpu_layers,
        vision,
        split: split.clone(),
    })
}

impl Work {
    /// The same with `more` bytes wherever it may be needed.
    fn with(self, more: u64) -> Self {
        Self {
            layers: self.layers + more,
            output: self.output + more,
            vision: self.vision + more,
        }
    }
}
