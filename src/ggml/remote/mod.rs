//! Devices of other machines, through ggml's RPC backend, and the worker that offers one.
//!
//! ggml's backend ends the process when a connection fails. So it is given connections that never
//! do: once a worker is gone, [`transport`] answers in its place that there is nothing, ggml comes
//! to rest without having computed anything, and whoever asked learns of it from
//! [`Worker::check`]. Owns connections, both ends of them, and a worker's store of weights; it knows
//! nothing of models.

mod cache;
mod requests;
mod serve;
#[cfg(test)]
mod tests;
mod transport;

pub use serve::{Server, ServerEvent, ServerOptions};

use super::log;
use crate::{Error, ErrorKind, Result};
use ggml_sys::{self as sys, rpc};
use std::{
    collections::HashMap,
    ffi::{CString, c_char},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    ptr::NonNull,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a worker may take to accept a connection and to say hello.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a worker is and whether it still answers.
pub(super) struct Link {
    address: String,
    /// Why it is gone, once it is.
    lost: OnceLock<String>,
}

impl Link {
    /// Takes note that the worker is gone because of `reason`; only the first reason counts.
    fn lose(&self, reason: impl Into<String>) {
        _ = self.lost.set(reason.into());
    }

    fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// A new connection to the worker.
    fn dial(&self) -> Result<TcpStream, String> {
        let addresses = self
            .address
            .to_socket_addrs()
            .map_err(|e| format!("the name cannot be resolved ({e})"))?;
        let mut failure = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(e) => failure = format!("no connection ({e})"),
            }
        }
        Err(failure)
    }
}

/// The links that ggml can be told to connect to, by key.
static LINKS: Mutex<Option<HashMap<u64, Weak<Link>>>> = Mutex::new(None);

fn links() -> MutexGuard<'static, Option<HashMap<u64, Weak<Link>>>> {
    LINKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The link of `key`, if somebody still holds it.
fn link_of(key: &str) -> Option<Arc<Link>> {
    let key: u64 = key.parse().ok()?;
    links().as_ref()?.get(&key)?.upgrade()
}

/// A connection to a worker. Each has a key of its own, so that a worker that comes back is a new
/// one to ggml, which remembers those that it has seen.
pub(super) struct Worker {
    key: u64,
    link: Arc<Link>,
    ptr: NonNull<rpc::Worker>,
}

// SAFETY: ggml's connections are used from any thread; what is here is only read.
unsafe impl Send for Worker {}
// SAFETY: as above.
unsafe impl Sync for Worker {}

impl Worker {
    /// Connects to the worker at `address` and asks for its devices.
    pub(super) fn connect(address: &str) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        log::install();
        transport::install();
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(Link {
            address: address.to_owned(),
            lost: OnceLock::new(),
        });
        links()
            .get_or_insert_default()
            .insert(key, Arc::downgrade(&link));
        let name = CString::new(key.to_string()).expect("digits hold no NUL");
        let mut error: [c_char; 256] = [0; 256];
        // SAFETY: the key and the place for the error are alive, and the transport is installed.
        let ptr = unsafe { rpc::ggml_sys_rpc_open(name.as_ptr(), error.as_mut_ptr(), error.len()) };
        let opened = NonNull::new(ptr).map(|ptr| {
            Arc::new(Self {
                key,
                link: link.clone(),
                ptr,
            })
        });
        link.check()?;
        opened.ok_or_else(|| link.error(&serve::error_text(&error)))
    }

    /// How many devices it offers, at least one.
    pub(super) fn n_devices(&self) -> usize {
        // SAFETY: the connection is alive.
        unsafe { rpc::ggml_sys_rpc_device_count(self.ptr.as_ptr()) }
    }

    /// Device `index`, which lives as long as the process.
    pub(super) fn device(&self, index: usize) -> NonNull<sys::ggml_backend_device> {
        assert!(index < self.n_devices(), "a worker has no such device");
        // SAFETY: the connection is alive and has that many devices.
        let ptr = unsafe { rpc::ggml_sys_rpc_device(self.ptr.as_ptr(), index) };
        NonNull::new(ptr).expect("every index has a device")
    }

    /// An error of kind `DeviceLost` if the worker is gone.
    pub(super) fn check(&self) -> Result<()> {
        self.link.check()
    }
}

impl Link {
    fn check(&self) -> Result<()> {
        match self.lost.get() {
            Some(reason) => Err(self.error(reason)),
            None => Ok(()),
        }
    }

    fn error(&self, reason: &str) -> Error {
        Error::new(
            ErrorKind::DeviceLost,
            format!("the worker at {}: {reason}", self.address),
        )
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: made by ggml_sys_rpc_open, closed once.
        unsafe { rpc::ggml_sys_rpc_close(self.ptr.as_ptr()) };
        if let Some(links) = links().as_mut() {
            links.remove(&self.key);
        }
    }
}

/// Makes a connection notice within seconds that the other machine is gone, and send at once.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    let probes = socket2::TcpKeepalive::new().with_time(Duration::from_secs(3));
    #[cfg(not(windows))]
    let probes = probes.with_interval(Duration::from_secs(1)).with_retries(5);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)
}

/// Whether `address` can only be reached from this machine.
fn is_private(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
