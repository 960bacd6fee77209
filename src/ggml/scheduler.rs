//! The scheduler: gives a graph's tensors memory, and runs graphs on the backends that it owns.

use super::{
    Backend, Device, DeviceKind, Element, Graph, Tensor,
    backend::{CancelFlag, cancelled},
    context::Arena,
    log,
    staging::Staging,
};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{
    ffi::{CStr, c_void},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Runs graphs. It has places, each with working memory of its own for one graph at a time; placing
/// another graph there releases the first.
pub struct Scheduler {
    /// Freed before the backends, by the order of the fields.
    places: Vec<Place>,
    max_nodes: usize,
    staging: Option<Staging>,
    /// The CPU is the last.
    backends: Vec<Backend>,
}

/// Held while a graph with a part on another machine runs. ggml lets a worker run the last graph
/// again without sending it, and notes which one that was before it has sent it: of two threads, one
/// could run the other's graph.
static REMOTE: Mutex<()> = Mutex::new(());

/// Most backends that ggml's scheduler takes, which its headers do not tell.
const MAX_BACKENDS: usize = 16;

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
    /// A scheduler over the `cpu` for graphs of at most `max_nodes` nodes, with one place.
    pub fn new(cpu: Backend, max_nodes: usize) -> Result<Self> {
        Self::with_devices(Vec::new(), cpu, max_nodes)
    }

    /// A scheduler over other devices and the `cpu`. Operations go to the device that their weights
    /// are on, inputs of graphs to the CPU; what one device has computed and another needs is copied.
    pub fn with_devices(devices: Vec<Backend>, cpu: Backend, max_nodes: usize) -> Result<Self> {
        let mut backends = devices;
        backends.push(cpu);
        if backends.len() > MAX_BACKENDS {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} devices are too many to compute together, expected at most {}",
                    backends.len() - 1,
                    MAX_BACKENDS - 1
                ),
            ));
        }
        Ok(Self {
            places: vec![Place::new(&backends, max_nodes)?],
            max_nodes,
            staging: None,
            backends,
        })
    }

    /// The CPU, which computes what no other device does.
    pub fn cpu(&self) -> &Backend {
        self.backends.last().expect("there is always the CPU")
    }

    fn devices(&self) -> impl Iterator<Item = &Device> {
        self.backends.iter().map(Backend::device)
    }

    /// An error of kind `DeviceLost` if one of the devices is gone.
    fn check_devices(&self) -> Result<()> {
        self.devices().try_for_each(Device::check)
    }

    /// Bytes of working memory that a place would need for `graph`, for each device in the order
    /// given and the CPU. The graph's weights need no memory for this. It must not be run afterwards.
    pub fn measure(&self, graph: &Graph) -> Result<Vec<u64>> {
        let mut sizes = vec![0; self.backends.len()];
        let place = Place::new(&self.backends, self.max_nodes.max(2 * graph.n_nodes()))?;
        // SAFETY: scheduler and graph are alive, and there is a size for each backend.
        unsafe {
            sys::ggml_backend_sched_reserve_size(
                place.ptr.as_ptr(),
                graph.as_ptr(),
                sizes.as_mut_ptr(),
            );
        }
        self.check_devices()?;
        Ok(sizes.into_iter().map(|size| size as u64).collect())
    }

    /// Places `graph` in the memory of place 0, releasing the graph placed there before. Its
    /// inputs can then be written, and it can be run any number of times.
    pub fn place(&mut self, graph: &Graph) -> Result<()> {
        self.place_at(0, graph)
    }

    /// As [`place`](Self::place), in place `at`; places are made when they are first used.
    pub fn place_at(&mut self, at: usize, graph: &Graph) -> Result<()> {
        while self.places.len() <= at {
            let place = Place::new(&self.backends, self.max_nodes)?;
            self.places.push(place);
        }
        let cpu = self.backends.last().expect("there is always the CPU");
        let filled = self.places[at].fill(graph, cpu);
        self.check_devices()?;
        filled
    }

    /// Copies `data` into an input of `graph`, which must be placed.
    pub fn write<T: Element>(&mut self, graph: &Graph, input: &Tensor, data: &[T]) -> Result<()> {
        self.check(graph, input)?;
        input.set(data)
    }

    /// The same for an input's elements from `start` on, to fill it piece by piece.
    pub fn write_at<T: Element>(
        &mut self,
        graph: &Graph,
        input: &Tensor,
        start: usize,
        data: &[T],
    ) -> Result<()> {
        self.check(graph, input)?;
        input.set_at(start, data)
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
        output.get(start, out)?;
        self.check_devices()
    }

    /// Runs `graph`, which must be placed, to its end, and copies all elements of its result
    /// `output` to the room that `room` gives, which is called when devices have begun to compute.
    /// They copy when they are done, without being asked anew.
    ///
    /// Errors are those of [`run`](Self::run); what was copied until then is undefined.
    pub fn run_and_read<T: Element, R: AsMut<[T]>>(
        &mut self,
        graph: &Graph,
        observer: Option<Observer>,
        output: &Tensor,
        room: impl FnOnce() -> R,
    ) -> Result<R> {
        self.check(graph, output)?;
        let (mut room, mut out) = (Some(room), None);
        let mut kept = self.staging.take();
        let mut staged = Staging::room::<T>(&mut kept, &self.backends, output.n_elements());
        let ran = self.run_then(graph, observer, &mut |place| {
            let Some(room) = room.take() else {
                return Ok(());
            };
            let out = out.insert(room()).as_mut();
            let to = match &mut staged {
                Some(staged) if staged.len() == out.len() => &mut **staged,
                _ => out,
            };
            output.get_queued(place.backend_of(output), to)
        });
        if let (Ok(()), Some(staged), Some(out)) = (&ran, &staged, &mut out) {
            out.as_mut().copy_from_slice(staged);
        }
        self.staging = kept;
        ran?;
        out.ok_or_else(|| Error::new(ErrorKind::Internal, "a graph has run without an end"))
    }

    /// Runs `graph`, which must be placed, to its end.
    ///
    /// Errors with `Cancelled` if the CPU's cancel flag was set meanwhile, with `DeviceLost` if a
    /// device is known to be gone; the graph's results are then undefined. (A loss may show only when
    /// results are read.) While a graph runs that has a part on
    /// another machine, no other such graph does: the observer must not wait for one.
    pub fn run(&mut self, graph: &Graph, observer: Option<Observer>) -> Result<()> {
        self.run_then(graph, observer, &mut |_| Ok(()))
    }

    /// Runs `graph`; `then` may give the devices more to do before they are waited for.
    fn run_then(
        &mut self,
        graph: &Graph,
        observer: Option<Observer>,
        then: &mut dyn FnMut(&Place) -> Result<()>,
    ) -> Result<()> {
        let Some(place) = self.place_of(graph) else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a graph was run without being placed",
            ));
        };
        let cancel = self.cpu().cancel_flag().clone();
        cancel.check()?;
        let _alone = self.alone_if_remote();
        let status = match observer {
            None => place.compute(graph),
            Some(observer) => place.compute_observed(graph, observer, cancel.clone()),
        };
        let more = match status {
            sys::GGML_STATUS_SUCCESS => then(place),
            _ => Ok(()),
        };
        place.wait();
        // A backend that notices the flag between two nodes may still report success.
        cancel.check()?;
        self.check_devices()?;
        match status {
            sys::GGML_STATUS_SUCCESS => more,
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

    /// Bytes of working memory that the places hold on all devices.
    pub fn working_bytes(&self) -> usize {
        let of_place = |place: &Place| -> usize {
            let backends = self.backends.iter().map(Backend::as_ptr);
            backends
                // SAFETY: place and backend are alive and belong together.
                .map(|backend| unsafe {
                    sys::ggml_backend_sched_get_buffer_size(place.ptr.as_ptr(), backend)
                })
                .sum()
        };
        self.places.iter().map(of_place).sum()
    }

    fn alone_if_remote(&self) -> Option<MutexGuard<'static, ()>> {
        let remote = self.devices().any(|d| d.kind() == DeviceKind::Remote);
        remote.then(|| REMOTE.lock().unwrap_or_else(PoisonError::into_inner))
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
    fn new(backends: &[Backend], max_nodes: usize) -> Result<Self> {
        let mut list: Vec<_> = backends.iter().map(Backend::as_ptr).collect();
        let mut memory: Vec<_> = backends.iter().map(|b| b.device().buffer_type()).collect();
        // What the CPU computes is copied to devices, soonest from memory that they can reach.
        let reachable = backends.iter().find_map(|b| b.device().host_buffer_type());
        if let (Some(cpu), Some(reachable)) = (memory.last_mut(), reachable) {
            *cpu = reachable;
        }
        // SAFETY: both lists have an entry for each backend, and are copied.
        let ptr = unsafe {
            sys::ggml_backend_sched_new(
                list.as_mut_ptr(),
                memory.as_mut_ptr(),
                list.len() as i32,
                max_nodes,
                false,
                // Devices multiply large batches with weights that are on the CPU, unless
                // `Graph::compute_at_weights` says otherwise.
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

    /// Says which tensors of `graph` the CPU has to compute.
    fn assign(&self, graph: &Graph, cpu: &Backend) {
        let here = graph.on_cpu().iter().map(Tensor::as_ptr);
        for tensor in here.chain(graph.bound_to_host_weights()) {
            // SAFETY: scheduler, tensor and backend are alive, and the backend is the scheduler's.
            unsafe {
                sys::ggml_backend_sched_set_tensor_backend(self.ptr.as_ptr(), tensor, cpu.as_ptr());
            }
        }
    }

    fn fill(&mut self, graph: &Graph, cpu: &Backend) -> Result<()> {
        self.placed = Weak::new();
        // SAFETY: the scheduler is alive; reset forgets the previous graph's tensors, which `placed`
        // has just made unreachable.
        unsafe { sys::ggml_backend_sched_reset(self.ptr.as_ptr()) };
        self.assign(graph, cpu);
        // SAFETY: scheduler and graph are alive.
        let placed =
            unsafe { sys::ggml_backend_sched_alloc_graph(self.ptr.as_ptr(), graph.as_ptr()) };
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

    /// Gives the devices the graph to compute. They may still be at it afterwards.
    fn compute(&self, graph: &Graph) -> sys::ggml_status {
        // SAFETY: the graph is placed here.
        unsafe { sys::ggml_backend_sched_graph_compute_async(self.ptr.as_ptr(), graph.as_ptr()) }
    }

    /// Waits until the devices have done all that they were given.
    fn wait(&self) {
        // SAFETY: the scheduler is alive.
        unsafe { sys::ggml_backend_sched_synchronize(self.ptr.as_ptr()) }
    }

    /// The backend that computes a tensor of the graph that is placed here.
    fn backend_of(&self, tensor: &Tensor) -> *mut sys::ggml_backend {
        // SAFETY: scheduler and tensor are alive.
        unsafe { sys::ggml_backend_sched_get_tensor_backend(self.ptr.as_ptr(), tensor.as_ptr()) }
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
