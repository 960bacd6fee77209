//! The worker's side: accepts clients and computes for them on a device of this machine.

use super::{
    cache::Store,
    is_private,
    transport::{self, Handle, Peer, Stream},
};
use crate::{
    Error, ErrorKind, Result,
    ggml::{Backend, CancelFlag, Device, DeviceKind},
};
use ggml_sys::rpc;
use std::{
    ffi::{CStr, c_char, c_void},
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    path::PathBuf,
    ptr::NonNull,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a waiting server looks for new clients and at its cancel flag.
const POLL: Duration = Duration::from_millis(20);

/// How a [`Server`] is set up.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What to compute on.
    pub device: Device,
    /// Threads for each client, if the device is the processor.
    pub n_threads: usize,
    /// Most bytes that are allocated for all clients together.
    pub memory: u64,
    /// Folder that keeps weights for other times; `None` keeps none.
    pub cache_dir: Option<PathBuf>,
    /// Most bytes in that folder. What was not used for longest goes first.
    pub cache_bytes: u64,
    /// Whether an address that other machines can reach is allowed. The protocol knows no passwords
    /// and trusts what it receives: who reaches it can use this machine.
    pub insecure: bool,
}

/// What happens at a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A client has come.
    Connected {
        /// Its address.
        client: SocketAddr,
    },
    /// A client has left.
    Left {
        /// Its address.
        client: SocketAddr,
        /// How long it was here.
        stayed: Duration,
        /// Why it was sent away, if it was.
        failure: Option<String>,
    },
}

/// A worker that listens for clients. Each is served by a thread of its own.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    memory: Arc<Memory>,
}

/// What clients share.
struct Memory(NonNull<rpc::Memory>);

// SAFETY: the count behind it is atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by ggml_sys_rpc_memory_new, freed once, after the last client's thread.
        unsafe { rpc::ggml_sys_rpc_memory_free(self.0.as_ptr()) }
    }
}

impl Server {
    /// Listens at `address` (`HOST:PORT`; port 0 takes a free one).
    ///
    /// Errors if the address can be reached from other machines and the options do not allow it.
    pub fn bind(address: &str, options: ServerOptions) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidArgument, what);
        let addresses: Vec<SocketAddr> = address
            .to_socket_addrs()
            .map_err(|e| invalid(format!("{address}: expected HOST:PORT ({e})")))?
            .collect();
        if !options.insecure && !addresses.iter().all(is_private) {
            return Err(invalid(format!(
                "{address}: other machines can reach this address, and the protocol has no \
                 passwords and no encryption: whoever connects can use this machine; listen at \
                 127.0.0.1 and reach it through a tunnel (ssh -L), or allow it with --insecure in a \
                 network that you trust"
            )));
        }
        let failed = |e| Error::io(address, "listen at", e);
        let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        transport::install();
        // SAFETY: the argument is a number.
        let memory = unsafe { rpc::ggml_sys_rpc_memory_new(options.memory) };
        Ok(Self {
            listener,
            address,
            options,
            memory: Arc::new(Memory(
                NonNull::new(memory).expect("new does not return null"),
            )),
        })
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that are allocated for clients now.
    pub fn used_memory(&self) -> u64 {
        // SAFETY: the memory is alive.
        unsafe { rpc::ggml_sys_rpc_memory_used(self.memory.0.as_ptr()) }
    }

    /// Serves clients until `cancel` is set; those that are here then are sent away.
    pub fn run(&self, cancel: &CancelFlag, hear: &mut dyn FnMut(ServerEvent)) -> Result<()> {
        let (tell, events) = channel();
        let mut guests: Vec<Guest> = Vec::new();
        let result = loop {
            if cancel.is_cancelled() {
                break Ok(());
            }
            match self.listener.accept() {
                Ok((stream, client)) => {
                    hear(ServerEvent::Connected { client });
                    match self.receive(stream, client, cancel.clone(), tell.clone()) {
                        Ok(guest) => guests.push(guest),
                        Err(e) => hear(ServerEvent::Left {
                            client,
                            stayed: Duration::ZERO,
                            failure: Some(e.to_string()),
                        }),
                    }
                }
                // Nobody is waiting, or whoever was has gone: there may be another.
                Err(e) if is_passing(&e) => {}
                Err(e) => break Err(Error::io(self.address.to_string(), "accept clients at", e)),
            }
            pass_on(&events, hear);
            guests.retain(|guest| !guest.thread.is_finished());
        };
        for guest in &guests {
            _ = guest.stream.shutdown(Shutdown::Both);
        }
        for guest in guests {
            _ = guest.thread.join();
        }
        events.try_iter().for_each(hear);
        result
    }

    /// Serves the client on `stream` in a thread of its own.
    fn receive(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        cancel: CancelFlag,
        tell: Sender<ServerEvent>,
    ) -> Result<Guest> {
        let failed = |e| Error::io(client.to_string(), "talk to", e);
        // What accept returns is as non-blocking as the listener on some systems.
        stream.set_nonblocking(false).map_err(failed)?;
        let store = match &self.options.cache_dir {
            Some(folder) => Some(Store::open(folder, self.options.cache_bytes)?),
            None => None,
        };
        let mut peer = Handle(Box::new(Served {
            stream: Stream::new(stream.try_clone().map_err(failed)?).map_err(failed)?,
            store,
            stage: Stage::default(),
            injected: io::Cursor::default(),
        }));
        let backend = match self.options.device.kind() {
            DeviceKind::Cpu => Backend::cpu(self.options.n_threads, cancel)?,
            _ => Backend::on(&self.options.device, cancel)?,
        };
        let memory = self.memory.clone();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let mut error: [c_char; 256] = [0; 256];
            // SAFETY: peer, backend, memory and the place for the error outlive the call, and only
            // this thread uses the first two.
            let served = unsafe {
                rpc::ggml_sys_rpc_serve(
                    (&raw mut peer).cast::<c_void>(),
                    backend.as_ptr(),
                    memory.0.as_ptr(),
                    error.as_mut_ptr(),
                    error.len(),
                )
            };
            // Nobody listens any more if the server has ended meanwhile.
            _ = tell.send(ServerEvent::Left {
                client,
                stayed: started.elapsed(),
                failure: (!served).then(|| error_text(&error)),
            });
        });
        Ok(Guest { stream, thread })
    }
}

/// A client that is being served.
struct Guest {
    stream: TcpStream,
    thread: JoinHandle<()>,
}

fn is_passing(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

/// Waits a moment for events and passes them on.
fn pass_on(events: &Receiver<ServerEvent>, hear: &mut dyn FnMut(ServerEvent)) {
    match events.recv_timeout(POLL) {
        Ok(event) => hear(event),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
    }
    events.try_iter().for_each(hear);
}

/// The text in a buffer that C has written to.
pub(super) fn error_text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|&c| c as u8).collect();
    CStr::from_bytes_until_nul(&bytes)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A server's connection to a client. Weights that are asked for by hash come from the store: ggml,
/// which is told to have no cache, then reads the request to store them as if the client had sent
/// it.
struct Served {
    stream: Stream,
    store: Option<Store>,
    stage: Stage,
    /// A request that the client did not send, read before what it does.
    injected: io::Cursor<Vec<u8>>,
}

/// What ggml reads next: it reads the parts of a request one by one.
#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Command,
    Size(u8),
    Body(u8),
}

impl Served {
    fn read(&mut self, out: &mut [u8]) -> io::Result<()> {
        let injected = self.injected.get_ref().len() as u64;
        if self.injected.position() < injected {
            self.injected.read_exact(out)?;
            if self.injected.position() == injected {
                self.injected = io::Cursor::default();
            }
            self.advance(out);
            return Ok(());
        }
        self.stream.reader.read_exact(out)?;
        if let (Stage::Command, Some(_), [rpc::command::SET_TENSOR_HASH]) =
            (self.stage, &self.store, &*out)
        {
            self.answer_hash()?;
            return self.read(out);
        }
        if let (Stage::Body(rpc::command::SET_TENSOR), Some(store)) = (self.stage, &self.store) {
            keep_if_asked(store, out);
        }
        self.advance(out);
        Ok(())
    }

    fn advance(&mut self, part: &[u8]) {
        self.stage = match (self.stage, part) {
            (Stage::Command, &[command]) => Stage::Size(command),
            (Stage::Size(command), _) => Stage::Body(command),
            (Stage::Command | Stage::Body(_), _) => Stage::Command,
        };
    }

    /// Reads the rest of a request for weights by hash and replies to it: 1 if they are in the
    /// store, and then sees to it that ggml stores them.
    fn answer_hash(&mut self) -> io::Result<()> {
        let mut size = [0; 8];
        self.stream.reader.read_exact(&mut size)?;
        let tensor = rpc::ggml_sys_rpc_tensor_size();
        if u64::from_ne_bytes(size) != tensor as u64 + 16 {
            return Err(io::Error::other("a request by hash has another size"));
        }
        let mut body = vec![0; tensor + 16];
        self.stream.reader.read_exact(&mut body)?;
        let (tensor, numbers) = body.split_at(tensor);
        let (offset, hash) = numbers.split_at(8);
        let hash = u64::from_ne_bytes(hash.try_into().expect("8 of 16 bytes"));

        let size_at = 1;
        let mut request = [
            &[rpc::command::SET_TENSOR],
            [0; 8].as_slice(),
            tensor,
            &[0],
            offset,
        ]
        .concat();
        let known = self
            .store
            .as_ref()
            .is_some_and(|store| store.load(hash, &mut request));
        if known {
            let size = (request.len() - size_at - 8) as u64;
            request[size_at..size_at + 8].copy_from_slice(&size.to_ne_bytes());
            self.injected = io::Cursor::new(request);
        }
        let writer = &mut self.stream.writer;
        writer.write_all(&1u64.to_ne_bytes())?;
        writer.write_all(&[u8::from(known)])?;
        writer.flush()
    }
}

/// Keeps the bytes of a request to store them, if it asks for that.
fn keep_if_asked(store: &Store, body: &[u8]) {
    let rest = body.get(rpc::ggml_sys_rpc_tensor_size()..);
    // The flag, the offset and the bytes.
    if let Some([1, rest @ ..]) = rest
        && let Some(data) = rest.get(8..)
    {
        store.keep(data);
    }
}

impl Peer for Served {
    fn send(&mut self, data: &[u8]) -> bool {
        self.stream.writer.write_all(data).is_ok()
    }

    fn flush(&mut self) -> bool {
        self.stream.writer.flush().is_ok()
    }

    fn receive(&mut self, out: &mut [u8]) -> bool {
        self.read(out).is_ok()
    }
}
