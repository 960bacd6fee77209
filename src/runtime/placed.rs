//! Which decoder graphs are placed now, and where.
//!
//! Owns the choice of a scheduler's place for a graph: reading a prompt has one of its own, and the
//! small runs of generating keep several, so that going from one length to another and back builds
//! nothing. It knows shapes and graphs, not what is in them.

use crate::{
    Result,
    ggml::Scheduler,
    model::decoder::{DecoderGraph, Shape},
};

/// Most tokens of a small run.
pub(super) const SMALL: usize = 16;

/// Places for small runs: a single token and four lengths of draft. Working memory of a small run
/// is a few megabytes.
pub(super) const N_SMALL: usize = 5;

/// The place of larger runs.
const LARGE: usize = 0;

/// The graphs in a scheduler's places.
#[derive(Default)]
pub(super) struct PlacedGraphs {
    places: [Occupant; 1 + N_SMALL],
    /// Counts uses.
    clock: u64,
}

#[derive(Default)]
struct Occupant {
    graph: Option<DecoderGraph>,
    last_used: u64,
}

impl PlacedGraphs {
    /// The graph of `shape`, which is made by `build` and placed if it is not there.
    pub(super) fn get(
        &mut self,
        shape: Shape,
        scheduler: &mut Scheduler,
        build: impl FnOnce(Shape) -> Result<DecoderGraph>,
    ) -> Result<&DecoderGraph> {
        let at = self.place_for(&shape);
        self.clock += 1;
        let occupant = &mut self.places[at];
        occupant.last_used = self.clock;
        if !occupant.is(&shape) {
            // The old graph's memory goes before the new one needs its own.
            occupant.graph = None;
            let graph = build(shape)?;
            scheduler.place_at(at, &graph.graph)?;
            occupant.graph = Some(graph);
        }
        Ok(occupant.graph.as_ref().expect("placed above"))
    }

    /// Gives all places the working memory that the `large` and the `small` shape take; their graphs
    /// are made by `build`.
    pub(super) fn reserve(
        &mut self,
        large: Shape,
        small: Shape,
        scheduler: &mut Scheduler,
        build: impl Fn(Shape) -> Result<DecoderGraph>,
    ) -> Result<()> {
        for at in 0..self.places.len() {
            self.places[at].graph = None;
            let graph = build(if at == LARGE { &large } else { &small }.clone())?;
            scheduler.place_at(at, &graph.graph)?;
        }
        Ok(())
    }

    fn place_for(&self, shape: &Shape) -> usize {
        if shape.n_tokens() > SMALL {
            return LARGE;
        }
        let small = LARGE + 1..self.places.len();
        let known = small.clone().find(|&at| self.places[at].is(shape));
        let oldest = small.min_by_key(|&at| self.places[at].last_used);
        known.or(oldest).unwrap_or(LARGE)
    }
}

impl Occupant {
    fn is(&self, shape: &Shape) -> bool {
        self.graph
            .as_ref()
            .is_some_and(|graph| graph.shape == *shape)
    }
}
