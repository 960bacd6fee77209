//! Runs the vision graph: pictures to rows of decoder input.

mod inputs;

use super::{Model, PlacedModel};
use crate::{
    Error, ErrorKind, Result,
    config::{Group, VisionConfig},
    ggml::{Backend, CancelFlag, DeviceKind, Observer, Scheduler},
    model::{
        VisionWeights,
        vision::{LAYER_PREFIX, MOST_TOGETHER, SLICES, Shape, VisionGraph, max_nodes},
    },
    preprocess::{Patches, PreparedImage},
};
use inputs::write_inputs;
use std::{hint, ops::ControlFlow, slice::from_ref, sync::Arc, thread};

/// Most patches of pictures that are encoded together where no graphics processor computes: with more,
/// a CPU takes as long by the patch, or longer (docs/SPEED.md).
const MOST_WITHOUT_GRAPHICS: usize = 256;

/// What the decoder sees of one picture.
#[derive(Clone, Debug)]
pub struct ImageEmbedding {
    /// The grid of patches.
    pub grid: Patches,
    /// One row of `embedding_length` values per patch, in row order.
    pub values: Vec<f32>,
}

/// The vision tower on a device, with its working memory. Dropping it frees both.
pub struct VisionEncoder {
    weights: Source,
    scheduler: Scheduler,
    /// Whether a graphics processor of this machine computes: so fast that stopping after each layer,
    /// for progress, would take a good part of the time.
    in_one_go: bool,
    /// The graph that was run last, used again for a picture of as many patches: devices run what
    /// they have run before with less ado.
    placed: Option<VisionGraph>,
}

/// Where the tower's weights are.
enum Source {
    File(Arc<Model>),
    Placed(Arc<PlacedModel>),
}

impl Source {
    fn config(&self) -> &VisionConfig {
        match self {
            Source::File(model) => &model.config().vision,
            Source::Placed(placed) => &placed.model().config().vision,
        }
    }

    fn weights(&self) -> &VisionWeights {
        match self {
            Source::File(model) => &model.weights().vision,
            Source::Placed(placed) => &placed.weights().vision,
        }
    }
}

/// How many of `n_threads` the tower has a use for: elsewhere it leaves the CPU nothing to do.
fn threads_for(model: &PlacedModel, n_threads: usize) -> usize {
    match model.plan().vision == model.plan().cpu_index() {
        true => n_threads,
        false => 1,
    }
}

/// Zeros in memory that is there, and not only promised by the system until it is written to.
fn mapped_zeros(n: usize) -> Vec<f32> {
    /// No system's pages are smaller.
    const PAGE: usize = 4096 / size_of::<f32>();
    let mut zeros = vec![0.0; n];
    for page in zeros.chunks_mut(PAGE) {
        page[0] = hint::black_box(0.0);
    }
    zeros
}

impl VisionEncoder {
    /// The tower of `model` on the CPU with `n_threads` threads.
    pub fn new(model: Arc<Model>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu(n_threads, cancel)?;
        Self::with(Source::File(model), Vec::new(), cpu)
    }

    /// The tower of `model` where the plan has put it.
    pub fn of(model: Arc<PlacedModel>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu(threads_for(&model, n_threads), cancel.clone())?;
        Self::placed(model, cpu, &cancel)
    }

    /// The same for working [in slices](Self::encode_in_slices) in turn with something else: its
    /// threads sleep as soon as they have nothing to do.
    pub fn beside(model: Arc<PlacedModel>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu_sleeping(threads_for(&model, n_threads), cancel.clone())?;
        Self::placed(model, cpu, &cancel)
    }

    fn placed(model: Arc<PlacedModel>, cpu: Backend, cancel: &CancelFlag) -> Result<Self> {
        let devices = model.backends([Group::Vision].into_iter(), cancel)?;
        Self::with(Source::Placed(model), devices, cpu)
    }

    fn with(weights: Source, devices: Vec<Backend>, cpu: Backend) -> Result<Self> {
        let kinds: Vec<DeviceKind> = devices.iter().map(|d| d.device().kind()).collect();
        let scheduler = Scheduler::with_devices(devices, cpu, max_nodes(weights.config()))?;
        Ok(Self {
            weights,
            scheduler,
            in_one_go: !kinds.is_empty() && kinds.iter().all(|kind| kind.is_graphics_processor()),
            placed: None,
        })
    }

    /// Whether a device other than the CPU computes.
    pub fn is_offloaded(&self) -> bool {
        match &self.weights {
            Source::File(_) => false,
            Source::Placed(placed) => placed.plan().vision != placed.plan().cpu_index(),
        }
    }

    /// How many of pictures with these `grids`, from the first on, should be encoded
    /// [together](Self::encode_together) to be done soonest, at least one.
    pub fn n_together(&self, grids: impl IntoIterator<Item = Patches>) -> usize {
        let most = match self.in_one_go {
            true => MOST_TOGETHER,
            false => MOST_WITHOUT_GRAPHICS,
        };
        let mut n_patches = 0;
        let sums = grids.into_iter().map(|grid| {
            n_patches += grid.n_patches();
            n_patches
        });
        sums.take_while(|&sum| sum <= most).count().max(1)
    }

    /// Encodes `image`. `progress` is called with the layers done and their number: after each layer,
    /// or, by a graphics processor of this machine, after the last.
    ///
    /// Errors with `Cancelled` if the cancel flag was set meanwhile.
    pub fn encode(
        &mut self,
        image: &PreparedImage,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<ImageEmbedding> {
        self.encode_in_slices(image, &mut layers(progress))
    }

    /// Encodes `images` as one batch, in which none sees another: faster than one by one if they are
    /// [small](Self::n_together). The embeddings come in their order, and differ from those of each alone by rounding.
    /// `progress` is called as by [`encode`](Self::encode).
    ///
    /// Errors with `InvalidArgument` if they have more than 1024 patches in all, with `Cancelled` if the
    /// cancel flag was set meanwhile.
    pub fn encode_together(
        &mut self,
        images: &[&PreparedImage],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<ImageEmbedding>> {
        match images {
            [] => return Ok(Vec::new()),
            [image] => return Ok(vec![self.encode(image, progress)?]),
            _ => {}
        }
        let n_patches: usize = images.iter().map(|image| image.grid.n_patches()).sum();
        if n_patches > MOST_TOGETHER {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} pictures of {n_patches} patches cannot be encoded together, at most \
                     {MOST_TOGETHER} patches can",
                    images.len()
                ),
            ));
        }
        let values = self.run(images, &mut layers(progress))?;
        let dim = values.len() / n_patches;
        let mut rest = values.as_slice();
        let mut take = |image: &&PreparedImage| {
            let (own, others) = rest.split_at(dim * image.grid.n_patches());
            rest = others;
            ImageEmbedding {
                grid: image.grid,
                values: own.to_vec(),
            }
        };
        Ok(images.iter().map(&mut take).collect())
    }

    /// Encodes `image`. `slice` is called with the slices of the work done and their number; nothing
    /// is computed until it returns. Slices are a fraction of a layer and take about as long as each
    /// other; a graphics processor of this machine does all in one go.
    ///
    /// Errors with `Cancelled` if the cancel flag was set meanwhile.
    pub fn encode_in_slices(
        &mut self,
        image: &PreparedImage,
        slice: &mut dyn FnMut(usize, usize),
    ) -> Result<ImageEmbedding> {
        Ok(ImageEmbedding {
            grid: image.grid,
            values: self.run(from_ref(&image), slice)?,
        })
    }

    /// Rows of all patches of `images`.
    fn run(
        &mut self,
        images: &[&PreparedImage],
        slice: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<f32>> {
        let graph = self.place(images, false)?;
        let n_slices = SLICES * self.weights.config().block_count as usize;
        let values = match self.in_one_go {
            true => self.run_in_one_go(&graph)?,
            false => self.run_observed(&graph, n_slices, slice)?,
        };
        if self.in_one_go {
            slice(n_slices, n_slices);
        }
        self.placed = Some(graph);
        Ok(values)
    }

    fn run_observed(
        &mut self,
        graph: &VisionGraph,
        n_slices: usize,
        slice: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<f32>> {
        let mut done = 0;
        let mut seen = |_: &str| {
            done += 1;
            slice(done, n_slices);
            ControlFlow::Continue(())
        };
        let observer = Observer {
            prefix: LAYER_PREFIX,
            seen: &mut seen,
        };
        let room = || vec![0.0; graph.embeddings.n_elements()];
        (self.scheduler).run_and_read(&graph.graph, Some(observer), &graph.embeddings, room)
    }

    fn run_in_one_go(&mut self, graph: &VisionGraph) -> Result<Vec<f32>> {
        let n = graph.embeddings.n_elements();
        // Getting memory from the system takes as long as a fast device computes.
        let getting = thread::Builder::new().spawn(move || mapped_zeros(n));
        let room = || {
            let got = getting.ok().and_then(|thread| thread.join().ok());
            got.unwrap_or_else(|| vec![0.0; n])
        };
        (self.scheduler).run_and_read(&graph.graph, None, &graph.embeddings, room)
    }

    /// Encodes `images` as one batch and returns every inner result by name (`patch_embed`, `ln_pre`,
    /// `vit.0`, …), one row a patch: for comparing with a reference.
    pub fn trace(&mut self, images: &[&PreparedImage]) -> Result<Vec<(String, Vec<f32>)>> {
        let graph = self.place(images, true)?;
        self.scheduler.run(&graph.graph, None)?;
        graph
            .taps
            .iter()
            .map(|tap| {
                let mut values = vec![0.0; tap.n_elements()];
                self.scheduler.read(&graph.graph, tap, 0, &mut values)?;
                Ok((tap.name(), values))
            })
            .collect()
    }

    /// Bytes of working memory in use.
    pub fn working_bytes(&self) -> usize {
        self.scheduler.working_bytes()
    }

    fn place(&mut self, images: &[&PreparedImage], keep_taps: bool) -> Result<VisionGraph> {
        let vision = self.weights.config();
        let shape = Shape {
            n_patches: images.iter().map(|image| image.grid.n_patches()).sum(),
            several: images.len() > 1,
            keep_taps,
        };
        let graph = match self.placed.take().filter(|graph| graph.shape == shape) {
            Some(graph) => graph,
            None => {
                let graph = VisionGraph::build(vision, self.weights.weights(), shape)?;
                self.scheduler.place(&graph.graph)?;
                graph
            }
        };
        write_inputs(&mut self.scheduler, &graph, vision, images)?;
        Ok(graph)
    }
}

/// Counts layers for `progress` where slices are counted.
fn layers(progress: &mut dyn FnMut(usize, usize)) -> impl FnMut(usize, usize) {
    move |done, total| {
        if done.is_multiple_of(SLICES) {
            progress(done / SLICES, total / SLICES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing;

    #[test]
    fn progress_counts_each_slice_and_each_layer_once_to_the_end() {
        let model = testing::model();
        let vision = &model.config().vision;
        let n_layers = vision.block_count as usize;
        let image = testing::picture(vision, 2, 2);
        let mut encoder = VisionEncoder::new(model.clone(), 1, CancelFlag::default()).unwrap();
        let (mut slices, mut layers) = (Vec::new(), Vec::new());
        let mut slice = |done, total| slices.push((done, total));
        encoder.encode_in_slices(&image, &mut slice).unwrap();
        let mut layer = |done, total| layers.push((done, total));
        encoder.encode(&image, &mut layer).unwrap();
        let counted = |n| (1..=n).map(|i| (i, n)).collect::<Vec<_>>();
        assert_eq!(slices, counted(SLICES * n_layers));
        assert_eq!(layers, counted(n_layers));
        layers.clear();
        let mut layer = |done, total| layers.push((done, total));
        encoder
            .encode_together(&[&image, &image], &mut layer)
            .unwrap();
        assert_eq!(layers, counted(n_layers));
    }

    #[test]
    fn pictures_are_encoded_together_as_long_as_they_are_small() {
        let model = testing::model();
        let vision = model.config().vision.clone();
        let mut encoder = VisionEncoder::new(model, 1, CancelFlag::default()).unwrap();
        let grid = |rows| Patches { rows, cols: 16 };
        assert_eq!(encoder.n_together([]), 1);
        assert_eq!(encoder.n_together([grid(17), grid(1)]), 1);
        assert_eq!(encoder.n_together([grid(14), grid(1), grid(1), grid(1)]), 3);
        // How many should be is less than how many can be.
        let images = [63, 1, 1].map(|rows| testing::picture(&vision, rows, 16));
        let [first, second, _] = &images;
        let two = encoder.encode_together(&[first, second], &mut |_, _| ());
        assert_eq!(two.unwrap().len(), 2);
        let e = encoder.encode_together(&images.each_ref(), &mut |_, _| ());
        let e = e.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().contains("1040 patches"), "{e}");
    }
}
