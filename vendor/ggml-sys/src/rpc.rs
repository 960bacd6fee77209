//! ggml's RPC backend over connections that the caller makes, and its server: the functions of
//! `shim/rpc.h`, where they are explained. What travels and what it means is ggml's business, how
//! it travels the caller's.

use crate::{ggml_backend_dev_t, ggml_backend_t};
use std::ffi::{c_char, c_void};

/// The reply size of commands without a reply.
pub const NO_REPLY: usize = usize::MAX;

/// Commands that a transport must know.
pub mod command {
    /// Bytes of a tensor: its description, whether to cache them, their offset (8 bytes), themselves.
    pub const SET_TENSOR: u8 = 6;
    /// The same by hash: description, offset, hash. The reply is 1 if they were in the cache.
    pub const SET_TENSOR_HASH: u8 = 7;
    /// The first command; the reply begins with the version.
    pub const HELLO: u8 = 14;
}

/// A connection to a worker and its list of devices.
#[repr(C)]
pub struct Worker {
    _opaque: [u8; 0],
}

/// Memory shared by the clients of a server.
#[repr(C)]
pub struct Memory {
    _opaque: [u8; 0],
}

/// How bytes travel. None of the functions may unwind.
#[repr(C)]
pub struct Transport {
    /// A new connection to the worker of a key.
    pub connect: unsafe extern "C" fn(key: *const c_char) -> *mut c_void,
    /// Sends bytes, now or with the next flush.
    pub send: unsafe extern "C" fn(peer: *mut c_void, data: *const c_void, size: usize) -> bool,
    /// Sends what was held back.
    pub flush: unsafe extern "C" fn(peer: *mut c_void) -> bool,
    /// Waits for so many bytes.
    pub receive: unsafe extern "C" fn(peer: *mut c_void, data: *mut c_void, size: usize) -> bool,
    /// Ends a connection that `connect` made.
    pub close: unsafe extern "C" fn(peer: *mut c_void),
}

#[allow(missing_docs)]
unsafe extern "C" {
    pub fn ggml_sys_rpc_use_transport(transport: *const Transport);
    pub fn ggml_sys_rpc_open(
        key: *const c_char,
        error: *mut c_char,
        error_size: usize,
    ) -> *mut Worker;
    pub fn ggml_sys_rpc_close(worker: *mut Worker);
    pub fn ggml_sys_rpc_device_count(worker: *const Worker) -> usize;
    pub fn ggml_sys_rpc_device(worker: *const Worker, index: usize) -> ggml_backend_dev_t;
    pub safe fn ggml_sys_rpc_version() -> u16;
    pub safe fn ggml_sys_rpc_tensor_size() -> usize;
    pub safe fn ggml_sys_rpc_reply_size(command: u8, last: u64) -> usize;
    pub fn ggml_sys_rpc_empty_reply(command: u8, body: *mut c_void, size: usize);
    pub fn ggml_sys_rpc_memory_new(limit: u64) -> *mut Memory;
    pub fn ggml_sys_rpc_memory_free(memory: *mut Memory);
    pub fn ggml_sys_rpc_memory_used(memory: *const Memory) -> u64;
    pub fn ggml_sys_rpc_serve(
        peer: *mut c_void,
        backend: ggml_backend_t,
        memory: *mut Memory,
        error: *mut c_char,
        error_size: usize,
    ) -> bool;
}
