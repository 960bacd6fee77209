//! What the parts of a model need on a device: sizes of weights and caches as its buffers would have
//! them, and working memory as its scheduler would allocate it. Nothing is allocated.

use super::{
    devices::Candidate,
    planner::{Assignment, Demands, LayerDemand, Work},
};
use crate::{
    Result,
    config::{Config, Group, inventory},
    ggml::{Backend, Buffer, CancelFlag, Context, Device, Scheduler, Tensor},
    model::{
        Weights,
        decoder::{self, DecoderGraph, KvLayer, Shape},
        vision::{self, VisionGraph},
    },
    runtime::{
        DecoderOptions, Model,
        kv_cache::n_cells,
        placed::{N_SMALL, SMALL},
    },
};
use std::collections::HashMap;

impl Demands {
    /// What the parts of `model` need on whichever of the candidates needs the most for them.
    pub(super) fn of(
        model: &Model,
        options: &DecoderOptions,
        candidates: &[Candidate],
    ) -> Result<Self> {
        let text = &model.config().text;
        let most = |context: &Context, otherwise: u64| -> Result<u64> {
            candidates.iter().try_fold(otherwise, |most, candidate| {
                Ok(Buffer::needed_on(context, &candidate.device)?.max(most))
            })
        };
        let weights = |group: Group| {
            let (context, _) = describe(model, |g| g == group)?;
            most(&context, model.group_bytes(group))
        };
        let context = Context::new(2, 0)?;
        let n_cells = n_cells(options.n_ctx, !candidates.is_empty());
        options.kv_type.layer(&context, text, n_cells);
        let per_token = options.kv_type.bytes_per_token(text) / u64::from(text.block_count);
        let one = most(&context, per_token * n_cells as u64)?;
        let cache = one * options.n_sequences as u64;
        Ok(Self {
            vision: weights(Group::Vision)?,
            layers: (0..text.block_count)
                .map(|i| {
                    Ok(LayerDemand {
                        weights: weights(Group::Block(i))?,
                        cache,
                    })
                })
                .collect::<Result<_>>()?,
            output: weights(Group::Output)?,
        })
    }
}

/// Descriptions, without memory, of the tensors of the groups that are `wanted`, by name.
pub(super) fn describe(
    model: &Model,
    wanted: impl Fn(Group) -> bool,
) -> Result<(Context, HashMap<String, Tensor>)> {
    let specs = inventory(model.config());
    let names: Vec<&str> = specs
        .iter()
        .filter(|spec| wanted(spec.group))
        .map(|spec| spec.name.as_str())
        .collect();
    let context = Context::new(names.len(), 0)?;
    let tensors = names
        .into_iter()
        .map(|name| {
            let mapped = model.tensor(name)?;
            let tensor = context.tensor(mapped.ty(), &mapped.dims());
            context.name(&tensor, name);
            Ok((name.to_owned(), tensor))
        })
        .collect::<Result<_>>()?;
    Ok((context, tensors))
}

/// Measures graphs of a model on some devices.
pub(super) struct Measure<'a> {
    model: &'a Model,
    options: &'a DecoderOptions,
    devices: &'a [Device],
    scheduler: Scheduler,
}

impl<'a> Measure<'a> {
    pub(super) fn new(
        model: &'a Model,
        options: &'a DecoderOptions,
        devices: &'a [Device],
    ) -> Result<Self> {
        let Config { text, vision } = model.config();
        options.kv_type.check(text)?;
        let backends = devices
            .iter()
            .map(|device| Backend::on(device, CancelFlag::default()))
            .collect::<Result<_>>()?;
        let cpu = Backend::cpu(1, CancelFlag::default())?;
        let max_nodes =
            decoder::max_nodes(text, options.n_sequences).max(vision::max_nodes(vision));
        Ok(Self {
            model,
            options,
            devices,
            scheduler: Scheduler::with_devices(backends, cpu, max_nodes)?,
        })
    }

    /// Working memory of device `d` for each of the parts, if it had nothing else.
    pub(super) fn parts_on(&self, d: usize) -> Result<Work> {
        let nothing = Assignment {
            layers: vec![None; self.model.config().text.block_count as usize],
            ..Assignment::default()
        };
        let layers = Assignment {
            layers: vec![Some(d); nothing.layers.len()],
            ..nothing.clone()
        };
        let output = Assignment {
            output: Some(d),
            ..nothing.clone()
        };
        let vision = Assignment {
            vision: Some(d),
            ..nothing
        };
        Ok(Work {
            layers: self.decoder(&layers)?[d],
            output: self.decoder(&output)?[d],
            vision: self.vision(&vision)?[d],
        })
    }

    /// Working memory of each device and the CPU, if the parts are where `assignment` says.
    pub(super) fn whole(&self, assignment: &Assignment) -> Result<Vec<u64>> {
        let (decoder, vision) = (self.decoder(assignment)?, self.vision(assignment)?);
        Ok(decoder.iter().zip(&vision).map(|(a, b)| a + b).collect())
    }

    /// Of a decoder: the largest batch and what short runs keep beside it, at a full context.
    fn decoder(&self, assignment: &Assignment) -> Result<Vec<u64>> {
        let text = &self.model.config().text;
        let options = self.options;
        let weights = self.imagine(assignment)?.decoder;
        let kv = self.imagine_cache(assignment)?;
        let size = |n_tokens: usize, n_outputs: usize| -> Result<Vec<u64>> {
            let shape = Shape {
                spans: options.full_spans(n_tokens, n_cells(options.n_ctx, true)),
                n_image_rows: n_tokens / 2,
                n_outputs,
                keep_taps: false,
            };
            // The sequences' caches are alike.
            let caches = vec![kv.as_slice(); options.n_sequences];
            let graph = DecoderGraph::build(text, &weights, &caches, shape)?;
            self.scheduler.measure(&graph.graph)
        };
        let few = SMALL.min(options.n_ctx * options.n_sequences);
        let small = size(few, few)?;
        let most = options.most_tokens();
        let large = size(most, options.n_sequences.min(most))?;
        let total = |(large, small): (&u64, &u64)| large + N_SMALL as u64 * small;
        Ok(large.iter().zip(&small).map(total).collect())
    }

    /// Of the vision tower, with the largest picture or as many as are encoded together.
    fn vision(&self, assignment: &Assignment) -> Result<Vec<u64>> {
        let config = &self.model.config().vision;
        let weights = self.imagine(assignment)?.vision;
        let size = |shape| {
            let graph = VisionGraph::build(config, &weights, shape)?;
            self.scheduler.measure(&graph.graph)
        };
        let [one, several] = vision::Shape::largest(config).map(size);
        let most = |(one, several): (&u64, &u64)| *one.max(several);
        Ok(one?.iter().zip(&several?).map(most).collect())
    }

    /// Weights that look as if they were where `assignment` says.
    fn imagine(&self, assignment: &Assignment) -> Result<Weights> {
        let place = |group: Group| match group {
            Group::Vision => assignment.vision,
            Group::Embedding => None,
            Group::Block(i) => assignment.layers[i as usize],
            Group::Output => assignment.output,
        };
        let mut moved = HashMap::new();
        for (d, device) in self.devices.iter().enumerate() {
            let (context, tensors) = describe(self.model, |group| place(group) == Some(d))?;
            Buffer::imagine_on(&context, device)?;
            moved.extend(tensors);
        }
        Weights::collect(self.model.config(), |name| match moved.remove(name) {
            Some(tensor) => Ok(tensor),
            None => self.model.tensor(name),
        })
    }

    fn imagine_cache(&self, assignment: &Assignment) -> Result<Vec<KvLayer>> {
        let cpu = Device::cpu()?;
        let layer = |place: &Option<usize>| {
            let context = Context::new(2, 0)?;
            let text = &self.model.config().text;
            let layer =
                self.options
                    .kv_type
                    .layer(&context, text, n_cells(self.options.n_ctx, true));
            Buffer::imagine_on(&context, place.map_or(&cpu, |d| &self.devices[d]))?;
            Ok(layer)
        };
        assignment.layers.iter().map(layer).collect()
    }
}
