//! Measures how fast this machine reads prompts, by the first layers of graphs that are then
//! broken off: a fraction of a second that tells what minutes will be.

use super::{
    KvType, Model, Outputs, Part, Rates, Run, VisionEncoder, decoder::write_inputs,
    kv_cache::KvCache,
};
use crate::{
    Error, ErrorKind, Result,
    config::TextConfig,
    ggml::{Backend, CancelFlag, Graph, Observer, Scheduler},
    model::decoder::{DecoderGraph, LAYER_PREFIX, Shape, Span, max_nodes},
    preprocess::{Patches, PreparedImage},
};
use std::{ops::ControlFlow, sync::Arc, time::Instant};

/// Tokens of a measured batch: enough for the matrix kernels to be as fast as they get.
const N_TOKENS: usize = 128;
/// Cells that the last of these tokens looks at: the larger one first, whose memory serves both.
const N_KV: [usize; 2] = [4096, 256];
/// Patches along each side of the larger one of the measured pictures; the other has half of them.
const SIDE: u32 = 32;

/// Measures `model` with `n_threads` threads and a cache of type `kv_type`.
pub(crate) fn calibrate(model: &Arc<Model>, kv_type: KvType, n_threads: usize) -> Result<Rates> {
    let (token, token_pair) = measure_decoder(model, kv_type, n_threads)?;
    let (patch, patch_pair) = measure_tower(model, n_threads)?;
    Ok(Rates {
        patch,
        patch_pair,
        token,
        token_pair,
    })
}

/// Seconds for a token, and for each token that it sees.
fn measure_decoder(model: &Model, kv_type: KvType, n_threads: usize) -> Result<(f64, f64)> {
    let text = &model.config().text;
    let [many, few] = N_KV.map(|n_kv| n_kv.min(text.context_length as usize));
    let cancel = CancelFlag::default();
    let backend = Backend::cpu(n_threads, cancel.clone())?;
    // One layer's cache serves all layers: what is in it does not matter.
    let one_layer = TextConfig {
        block_count: 1,
        ..text.clone()
    };
    let mut cache = KvCache::new(&one_layer, kv_type, many, &|_| backend.device().clone())?;
    cache.make_readable(many)?;
    let layers = vec![cache.layers()[0].clone(); text.block_count as usize];
    let mut scheduler = Scheduler::new(backend, max_nodes(text, 1))?;
    let mut measure = |n_kv: usize, warm_up| {
        let ids = vec![0; N_TOKENS.min(n_kv)];
        let shape = Shape {
            spans: vec![Span {
                sequence: 0,
                n_tokens: ids.len(),
                n_kv,
            }],
            n_image_rows: 0,
            n_outputs: 1,
            keep_taps: false,
        };
        let graph = DecoderGraph::build(text, &model.weights().decoder, &[&layers], shape)?;
        scheduler.place(&graph.graph)?;
        let part = Part {
            sequence: 0,
            run: Run {
                ids: &ids,
                image_rows: &[],
            },
            outputs: Outputs::Last,
        };
        let start = n_kv - ids.len();
        let s = &mut scheduler;
        write_inputs(s, &graph, text, &[part], &[start], &mut Vec::new())?;
        let mut marks = Marks::new(warm_up, &cancel);
        time_layers(&mut scheduler, &graph.graph, &mut marks)?;
        let seconds = marks.layer()? * f64::from(text.block_count);
        let seen = start as f64 + ids.len() as f64 / 2.0;
        Ok((seen, seconds / ids.len() as f64))
    };
    let many = measure(many, true)?;
    let few = measure(few, false)?;
    Ok(Rates::line(few, many))
}

/// Runs `graph` until `marks` have what they need.
fn time_layers(scheduler: &mut Scheduler, graph: &Graph, marks: &mut Marks) -> Result<()> {
    let mut seen = |_: &str| marks.pass();
    let observer = Observer {
        prefix: LAYER_PREFIX,
        seen: &mut seen,
    };
    let result = scheduler.run(graph, Some(observer));
    marks.accept(result)
}

/// Seconds for a patch, and for each patch that it sees.
fn measure_tower(model: &Arc<Model>, n_threads: usize) -> Result<(f64, f64)> {
    let vision = &model.config().vision;
    let cancel = CancelFlag::default();
    let mut encoder = VisionEncoder::new(model.clone(), n_threads, cancel.clone())?;
    let mut measure = |side: u32, warm_up| {
        let pixels = side * vision.patch_size;
        let image = PreparedImage {
            pixels: vec![0.0; (vision.num_channels * pixels * pixels) as usize],
            width: pixels,
            height: pixels,
            grid: Patches {
                rows: side,
                cols: side,
            },
        };
        let mut marks = Marks::new(warm_up, &cancel);
        let result = encoder.encode(&image, &mut |_, _| _ = marks.pass());
        marks.accept(result.map(drop))?;
        let seconds = marks.layer()? * f64::from(vision.block_count);
        let n_patches = f64::from(side * side);
        Ok((n_patches, seconds / n_patches))
    };
    let side = SIDE.min(vision.image_size / vision.patch_size).max(2);
    let many = measure(side, true)?;
    let few = measure(side / 2, false)?;
    Ok(Rates::line(few, many))
}

/// When layers were done.
struct Marks {
    started: Instant,
    seconds: Vec<f64>,
    /// Layers to wait for. The first of two loads weights and touches fresh memory.
    wanted: usize,
    cancel: CancelFlag,
}

impl Marks {
    fn new(warm_up: bool, cancel: &CancelFlag) -> Self {
        cancel.reset();
        Self {
            started: Instant::now(),
            seconds: Vec::new(),
            wanted: 1 + usize::from(warm_up),
            cancel: cancel.clone(),
        }
    }

    /// A layer is done; the last that is wanted ends the run.
    fn pass(&mut self) -> ControlFlow<()> {
        self.seconds.push(self.started.elapsed().as_secs_f64());
        if self.seconds.len() >= self.wanted {
            self.cancel.cancel();
        }
        self.cancel.flow()
    }

    /// Breaking off was meant.
    fn accept(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(e) if e.kind() == ErrorKind::Cancelled => Ok(()),
            other => other,
        }
    }

    /// Seconds of the last layer.
    fn layer(&self) -> Result<f64> {
        match self.seconds[..] {
            [.., before, last] => Ok(last - before),
            [only] => Ok(only),
            [] => Err(Error::new(ErrorKind::Internal, "no layer was measured")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing;

    #[test]
    fn a_model_is_measured_without_a_session() {
        let model = testing::model();
        let rates = calibrate(&model, KvType::F16, 1).unwrap();
        assert!(rates.is_sound(), "{rates:?}");
        assert!(!rates.read(0, 1000).is_zero(), "{rates:?}");
        assert!(!rates.encode(1000).is_zero(), "{rates:?}");
    }
}
