//! Graphs: the order in which a context's tensors are computed.

use super::{Context, Tensor};
use ggml_sys as sys;
use std::{ptr::NonNull, sync::Arc};

/// A graph under construction, then ready to be run by a [`super::Scheduler`].
pub struct Graph {
    ptr: NonNull<sys::ggml_cgraph>,
    context: Context,
    on_cpu: Vec<Tensor>,
    at_weights: bool,
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
            at_weights: false,
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

    /// Makes the CPU compute with the weights that it has. Otherwise devices do so for large batches,
    /// after copying the weights, which takes as long for few tokens as for many.
    pub fn compute_at_weights(&mut self) {
        self.at_weights = true;
    }

    pub(super) fn on_cpu(&self) -> &[Tensor] {
        &self.on_cpu
    }

    /// The nodes that the CPU has to compute since weights that they use are there; none unless
    /// [`compute_at_weights`](Self::compute_at_weights) was called.
    pub(super) fn bound_to_host_weights(&self) -> impl Iterator<Item = *mut sys::ggml_tensor> {
        let n = if self.at_weights { self.n_nodes() } else { 0 };
        let node = |i| {
            // SAFETY: the graph is alive and has this node.
            unsafe { sys::ggml_graph_node(self.ptr.as_ptr(), i as i32) }
        };
        let is_bound = |&node: &*mut sys::ggml_tensor| {
            // SAFETY: nodes and what they are computed from are alive with the graph.
            unsafe {
                let sources = (*node).src.iter().filter_map(|source| source.as_ref());
                let mut buffers = sources.map(|s| s.buffer).filter(|buffer| !buffer.is_null());
                buffers.any(|buffer| {
                    sys::ggml_backend_buffer_is_host(buffer)
                        && sys::ggml_backend_buffer_get_usage(buffer)
                            == sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS
                })
            }
        };
        (0..n).map(node).filter(is_bound)
    }

    /// The operations' names, in order.
    #[cfg(test)]
    pub(crate) fn operations(&self) -> Vec<String> {
        let name = |i| {
            // SAFETY: the graph is alive and has this node; names are static texts.
            let name = unsafe {
                let node = sys::ggml_graph_node(self.ptr.as_ptr(), i as i32);
                std::ffi::CStr::from_ptr(sys::ggml_op_desc(node))
            };
            name.to_string_lossy().into_owned()
        };
        (0..self.n_nodes()).map(name).collect()
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
