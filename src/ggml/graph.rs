//! Graphs: the order in which a context's tensors are computed.

use super::{Context, Tensor};
use ggml_sys as sys;
use std::{ptr::NonNull, sync::Arc};

/// A graph under construction, then ready to be run by a [`super::Scheduler`].
pub struct Graph {
    ptr: NonNull<sys::ggml_cgraph>,
    context: Context,
    on_cpu: Vec<Tensor>,
}

// SAFETY: the graph lives in its context's arena, which it owns a share of and which is `Send`.
unsafe impl Send for Graph {}

impl Graph {
    /// An empty graph for at most `nodes` nodes, with a context of its own.
    pub fn new(nodes: usize) -> crate::Result<Self> {
        // Leaves (inputs, weights' views) count besides nodes, hence the margin.
        let context = Context::new(2 * nodes, nodes)?;
        // SAFETY: the context was made with room for a graph of this size.
        let ptr = unsafe { sys::ggml_new_graph_custom(context.as_ptr(), nodes, false) };
        let ptr = NonNull::new(ptr).expect("the context has room for its graph");
        Ok(Self {
            ptr,
            context,
            on_cpu: Vec::new(),
        })
    }

    /// The context to build the graph's tensors in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Adds `tensor` and everything it depends on that is not in the graph yet.
    pub fn expand(&mut self, tensor: &Tensor) {
        self.context.refer_to(tensor);
        // SAFETY: graph and tensor are alive.
        unsafe { sys::ggml_build_forward_expand(self.ptr.as_ptr(), tensor.as_ptr()) }
    }

    /// Makes the CPU compute `tensor`, whatever follows from it. Needed where an operation writes into
    /// what another one has computed: the scheduler does not see that both must be in one memory.
    pub fn compute_on_cpu(&mut self, tensor: &Tensor) {
        self.on_cpu.push(tensor.clone());
    }

    pub(super) fn on_cpu(&self) -> &[Tensor] {
        &self.on_cpu
    }

    /// Number of operations.
    pub fn n_nodes(&self) -> usize {
        // SAFETY: the graph is alive.
        unsafe { sys::ggml_graph_n_nodes(self.ptr.as_ptr()) as usize }
    }

    /// Whether `tensor` was made in this graph's context.
    pub(super) fn owns(&self, tensor: &Tensor) -> bool {
        Arc::ptr_eq(self.context.arena(), tensor.arena())
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_cgraph {
        self.ptr.as_ptr()
    }
}
