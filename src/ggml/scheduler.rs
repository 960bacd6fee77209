//! The scheduler: gives a graph's tensors memory, and runs graphs on the backends that it owns.

use super::{
    Backend, Element, Graph, Tensor,
    backend::{CancelFlag, cancelled},
    context::Arena,
    log,
};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{
    ffi::{CStr, c_void},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    sync::{Arc, Weak},
};

/// Runs graphs. It has places, each with working memory of its own for one graph at a time; placing
/// another graph there releases the first.
pub struct Scheduler {
    /// Freed before the backend, by the order of the fields.
    places: Vec<Place>,
    max_nodes: usize,
    backend: Backend,
}

/// Working memory for one graph.
struct Place {
    ptr: NonNull<sys::ggml_backend_sched>,
    /// The arena of the graph that is placed now, to refuse reads of any other's tensors.
    placed: Weak<Arena>,
}

// SAFETY: the places and their backend are used through `&mut self` of the scheduler by one thread
// at a time.
unsafe impl Send for Place {}

/// Is told, while a graph runs, of each named tensor that it asked for, in order. Breaking stops
/// the graph.
pub struct Observer<'a> {
    /// Only tensors whose name starts with this are reported.
    pub prefix: &'a str,
    /// Called with the tensor's name.
    pub seen: &'a mut dyn FnMut(&str) -> ControlFlow<()>,
}

impl Scheduler {
    /// A scheduler over `backend` for graphs of at most `max_nodes` nodes, with one place.
    pub fn new(backend: Backend, max_nodes: usize) -> Result<Self> {
        Ok(Self {
            places: vec![Place::new(&backend, max_nodes)?],
            max_nodes,
            backend,
        })
    }

    /// The backend that computes.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Places `graph` in the memory of place 0, releasing the graph placed there before. Its
    /// inputs can then be written, and it can be run any number of times.
    pub fn place(&mut self, graph: &Graph) -> Result<()> {
        self.place_at(0, graph)
    }

    /// As [`place`](Self::place), in place `at`; places are made when they are first used.
    pub fn place_at(&mut self, at: usize, graph: &Graph) -> Result<()> {
        while self.places.len() <= at {
            let place = Place::new(&self.backend, self.max_nodes)?;
            self.places.push(place);
        }
        self.places[at].fill(graph)
    }

    /// Copies `data` into an input of `graph`, which must be placed.
    pub fn write<T: Element>(&mut self, graph: &Graph, input: &Tensor, data: &[T]) -> Result<()> {
        self.check(graph, input)?;
        input.set(data)
    }

    /// Copies elements `start..start + out.len()` of a result of `graph`, which must be placed.
    pub fn read<T: Element>(
        &self,
        graph: &Graph,
        output: &Tensor,
        start: usize,
        out: &mut [T],
    ) -> Result<()> {
        self.check(graph, output)?;
        output.get(start, out)
    }

    /// Runs `graph`, which must be placed, to its end.
    ///
    /// Errors with `Cancelled` if the backend's cancel flag was set meanwhile; the graph's
    /// results are then undefined.
    pub fn run(&mut self, graph: &Graph, observer: Option<Observer>) -> Result<()> {
        let Some(place) = self.place_of(graph) else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a graph was run without being placed",
            ));
        };
        let cancel = self.backend.cancel_flag().clone();
        cancel.check()?;
        let status = match observer {
            None => place.compute(graph),
            Some(observer) => place.compute_observed(graph, observer, cancel.clone()),
        };
        // A backend that notices the flag between two nodes may still report success.
        cancel.check()?;
        match status {
            sys::GGML_STATUS_SUCCESS => Ok(()),
            sys::GGML_STATUS_ABORTED => Err(cancelled()),
            sys::GGML_STATUS_ALLOC_FAILED => Err(Error::new(
                ErrorKind::OutOfMemory,
                log::explain("computing ran out of memory"),
            )),
            _ => Err(Error::new(
                ErrorKind::Backend,
                log::explain("computing failed"),
            )),
        }
    }

    /// Bytes of working memory that `graph` would need, which is not placed for it.
    pub fn measure(&self, graph: &Graph) -> Result<u64> {
        let place = Place::new(&self.backend, self.max_nodes.max(2 * graph.n_nodes()))?;
        let mut n_bytes = 0;
        // SAFETY: scheduler and graph are alive; one size is written for the one backend.
        unsafe {
            sys::ggml_backend_sched_reserve_size(place.ptr.as_ptr(), graph.as_ptr(), &mut n_bytes);
        }
        Ok(n_bytes as u64)
    }

    /// Bytes of working memory that the places hold.
    pub fn working_bytes(&self) -> usize {
        let backend = self.backend.as_ptr();
        self.places
            .iter()
            // SAFETY: place and backend are alive and belong together.
            .map(|place| unsafe {
                sys::ggml_backend_sched_get_buffer_size(place.ptr.as_ptr(), backend)
            })
            .sum()
    }

    fn place_of(&self, graph: &Graph) -> Option<&Place> {
        self.places.iter().find(|place| place.holds(graph))
    }

    fn check(&self, graph: &Graph, tensor: &Tensor) -> Result<()> {
        if self.place_of(graph).is_none() || !graph.owns(tensor) {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("tensor {} is not part of a placed graph", tensor.name()),
            ));
        }
        Ok(())
    }
}

impl Place {
    fn new(backend: &Backend, max_nodes: usize) -> Result<Self> {
        let mut list = [backend.as_ptr()];
        // SAFETY: the list is copied; a null list of buffer types means each backend's default.
        let ptr = unsafe {
            sys::ggml_backend_sched_new(
                list.as_mut_ptr(),
                std::ptr::null_mut(),
                list.len() as i32,
                max_nodes,
                false,
                true,
            )
        };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::Backend,
                log::explain("cannot create a scheduler"),
            )
        })?;
        Ok(Self {
            ptr,
            placed: Weak::new(),
        })
    }

    fn fill(&mut self, graph: &Graph) -> Result<()> {
        self.placed = Weak::new();
        // SAFETY: scheduler and graph are alive; reset forgets the previous graph's tensors,
        // which `placed` has just made unreachable.
        let placed = unsafe {
            sys::ggml_backend_sched_reset(self.ptr.as_ptr());
            sys::ggml_backend_sched_alloc_graph(self.ptr.as_ptr(), graph.as_ptr())
        };
        if !placed {
            return Err(Error::new(
                ErrorKind::OutOfMemory,
                log::explain(
                    "cannot allocate memory for computing: use a smaller ubatch or context",
                ),
            ));
        }
        self.placed = Arc::downgrade(graph.context().arena());
        Ok(())
    }

    fn holds(&self, graph: &Graph) -> bool {
        self.placed
            .upgrade()
            .is_some_and(|placed| Arc::ptr_eq(&placed, graph.context().arena()))
    }

    fn compute(&self, graph: &Graph) -> sys::ggml_status {
        // SAFETY: the graph is placed here.
        unsafe { sys::ggml_backend_sched_graph_compute(self.ptr.as_ptr(), graph.as_ptr()) }
    }

    fn compute_observed(
        &self,
        graph: &Graph,
        observer: Observer,
        cancel: CancelFlag,
    ) -> sys::ggml_status {
        let mut watch = Watch { observer, cancel };
        // SAFETY: `watch` outlives the run, and the callback is taken away again after it.
        unsafe {
            sys::ggml_backend_sched_set_eval_callback(
                self.ptr.as_ptr(),
                Some(observe),
                (&raw mut watch).cast(),
            );
        }
        let status = self.compute(graph);
        // SAFETY: as above.
        unsafe {
            sys::ggml_backend_sched_set_eval_callback(
                self.ptr.as_ptr(),
                None,
                std::ptr::null_mut(),
            );
        }
        status
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: made by ggml_backend_sched_new, freed once, before its backend.
        unsafe { sys::ggml_backend_sched_free(self.ptr.as_ptr()) }
    }
}

struct Watch<'a> {
    observer: Observer<'a>,
    cancel: CancelFlag,
}

/// ggml asks for each node whether it is of interest, then reports it once it is computed.
/// Returning false to the report ends the run.
unsafe extern "C" fn observe(tensor: *mut sys::ggml_tensor, ask: bool, watch: *mut c_void) -> bool {
    // SAFETY: `watch` is the `Watch` that lives on the stack of `compute_observed`, and the
    // tensor is a node of the running graph with a NUL-terminated name.
    let (watch, name) = unsafe {
        (
            &mut *watch.cast::<Watch>(),
            CStr::from_ptr((*tensor).name.as_ptr()),
        )
    };
    let Ok(name) = name.to_str() else { return !ask };
    if ask {
        return name.starts_with(watch.observer.prefix);
    }
    // A panic must not unwind through C: it cancels the run instead.
    match catch_unwind(AssertUnwindSafe(|| (watch.observer.seen)(name))) {
        Ok(ControlFlow::Continue(())) => true,
        _ => {
            watch.cancel.cancel();
            false
        }
    }
}
