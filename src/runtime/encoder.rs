//! Runs the vision graph: pictures to rows of decoder input.

use super::{Model, PlacedModel};
use crate::{
    Result,
    config::{Group, VisionConfig},
    ggml::{Backend, CancelFlag, Observer, Scheduler},
    model::{
        VisionWeights,
        vision::{LAYER_PREFIX, SLICES, VisionGraph, max_nodes},
        vision_periods,
    },
    preprocess::{Patches, PreparedImage},
};
use std::{ops::ControlFlow, sync::Arc};

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

impl VisionEncoder {
    /// The tower of `model` on the CPU with `n_threads` threads.
    pub fn new(model: Arc<Model>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu(n_threads, cancel)?;
        Self::with(Source::File(model), Vec::new(), cpu)
    }

    /// The tower of `model` where the plan has put it.
    pub fn of(model: Arc<PlacedModel>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu(n_threads, cancel.clone())?;
        Self::placed(model, cpu, &cancel)
    }

    /// The same for working [in slices](Self::encode_in_slices) in turn with something else: its
    /// threads sleep as soon as they have nothing to do.
    pub fn beside(model: Arc<PlacedModel>, n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        let cpu = Backend::cpu_sleeping(n_threads, cancel.clone())?;
        Self::placed(model, cpu, &cancel)
    }

    fn placed(model: Arc<PlacedModel>, cpu: Backend, cancel: &CancelFlag) -> Result<Self> {
        let devices = model.backends([Group::Vision].into_iter(), cancel)?;
        Self::with(Source::Placed(model), devices, cpu)
    }

    fn with(weights: Source, devices: Vec<Backend>, cpu: Backend) -> Result<Self> {
        let scheduler = Scheduler::with_devices(devices, cpu, max_nodes(weights.config()))?;
        Ok(Self { weights, scheduler })
    }

    /// Whether a device other than the CPU computes.
    pub fn is_offloaded(&self) -> bool {
        match &self.weights {
            Source::File(_) => false,
            Source::Placed(placed) => placed.plan().vision != placed.plan().cpu_index(),
        }
    }

    /// Encodes `image`. `progress` is called with the layers done and their number.
    ///
    /// Errors with `Cancelled` if the cancel flag was set meanwhile.
    pub fn encode(
        &mut self,
        image: &PreparedImage,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<ImageEmbedding> {
        self.encode_in_slices(image, &mut |done, total| {
            if done.is_multiple_of(SLICES) {
                progress(done / SLICES, total / SLICES);
            }
        })
    }

    /// Encodes `image`. `slice` is called with the slices of the work done and their number; nothing
    /// is computed until it returns. Slices are a fraction of a layer and take about as long as each
    /// other.
    ///
    /// Errors with `Cancelled` if the cancel flag was set meanwhile.
    pub fn encode_in_slices(
        &mut self,
        image: &PreparedImage,
        slice: &mut dyn FnMut(usize, usize),
    ) -> Result<ImageEmbedding> {
        let graph = self.place(image, false)?;
        let n_slices = SLICES * self.weights.config().block_count as usize;
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
        self.scheduler.run(&graph.graph, Some(observer))?;
        let mut values = vec![0.0; graph.embeddings.n_elements()];
        self.scheduler
            .read(&graph.graph, &graph.embeddings, 0, &mut values)?;
        Ok(ImageEmbedding {
            grid: image.grid,
            values,
        })
    }

    /// Encodes `image` and returns every inner result by name (`patch_embed`, `ln_pre`, `vit.0`,
    /// …), one row a patch: for comparing with a reference.
    pub fn trace(&mut self, image: &PreparedImage) -> Result<Vec<(String, Vec<f32>)>> {
        let graph = self.place(image, true)?;
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

    fn place(&mut self, image: &PreparedImage, keep_taps: bool) -> Result<VisionGraph> {
        let vision = self.weights.config();
        let Patches { rows, cols } = image.grid;
        let n = rows as usize * cols as usize;
        let graph = VisionGraph::build(vision, self.weights.weights(), n, keep_taps)?;
        let (row_of, column_of): (Vec<i32>, Vec<i32>) = (0..rows as i32)
            .flat_map(|row| (0..cols as i32).map(move |column| (row, column)))
            .unzip();
        let [row_periods, column_periods] = vision_periods(vision);
        let s = &mut self.scheduler;
        s.place(&graph.graph)?;
        s.write(
            &graph.graph,
            &graph.patches,
            &image.patch_rows(vision.patch_size),
        )?;
        s.write(&graph.graph, &graph.rows, &row_of)?;
        s.write(&graph.graph, &graph.columns, &column_of)?;
        s.write(&graph.graph, &graph.row_periods, &row_periods)?;
        s.write(&graph.graph, &graph.column_periods, &column_periods)?;
        Ok(graph)
    }
}
