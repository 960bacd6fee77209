//! How ggml's RPC backend reaches a worker: the connection of a client, and the functions through
//! which ggml uses it and that of a server.

use super::{Link, PATIENCE, keep_alive, link_of, requests::Requests};
use ggml_sys::rpc;
use std::{
    ffi::{CStr, c_char, c_void},
    io::{self, BufReader, BufWriter, Read, Write},
    net::TcpStream,
    sync::{Arc, Once},
};

/// One end of a connection, used by one thread at a time. False ends it.
pub(super) trait Peer: Send {
    /// Sends `data`, at the latest with the next flush.
    fn send(&mut self, data: &[u8]) -> bool;
    /// Sends what was held back.
    fn flush(&mut self) -> bool;
    /// Fills `out` with what comes next.
    fn receive(&mut self, out: &mut [u8]) -> bool;
}

/// What ggml holds: a thin pointer to it is what the functions below get.
pub(super) struct Handle<'a>(pub(super) Box<dyn Peer + 'a>);

/// Both directions of a connection: small pieces travel together.
pub(super) struct Stream {
    pub(super) reader: BufReader<TcpStream>,
    pub(super) writer: BufWriter<TcpStream>,
}

impl Stream {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        keep_alive(&stream)?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: BufWriter::new(stream),
        })
    }
}

/// A client's connection. All calls succeed; once the worker is gone, which the link then says,
/// replies are made up.
struct Client {
    link: Arc<Link>,
    /// Absent once the worker is gone.
    stream: Option<Stream>,
    requests: Requests,
}

impl Client {
    fn new(link: Arc<Link>) -> Self {
        let stream = match link.is_lost() {
            true => None,
            false => Self::dial(&link).map_err(|reason| link.lose(reason)).ok(),
        };
        Self {
            link,
            stream,
            requests: Requests::default(),
        }
    }

    fn dial(link: &Link) -> Result<Stream, String> {
        let stream = link.dial()?;
        // Until it has said hello; later, computing may take any time.
        let limited = stream.set_read_timeout(Some(PATIENCE));
        limited
            .and_then(|()| Stream::new(stream))
            .map_err(|e| format!("the connection cannot be set up ({e})"))
    }

    fn lose(&mut self, reason: impl Into<String>) {
        self.link.lose(reason);
        self.stream = None;
    }

    fn write(&mut self, work: impl FnOnce(&mut BufWriter<TcpStream>) -> io::Result<()>) {
        if let Some(stream) = &mut self.stream
            && let Err(e) = work(&mut stream.writer)
        {
            self.lose(format!("the connection was lost ({e})"));
        }
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), String> {
        let Some(stream) = &mut self.stream else {
            return Err("it is gone".to_owned());
        };
        stream.reader.read_exact(out).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".to_owned(),
            _ => format!("the connection was lost ({e})"),
        })?;
        if !self.requests.is_sized() {
            if *out != self.requests.reply_size().to_ne_bytes() {
                return Err("its reply makes no sense; is it a worker of this version?".to_owned());
            }
            self.requests.size_read();
        } else if self.requests.command() == rpc::command::HELLO {
            check_version(out)?;
            let unlimited = stream.reader.get_ref().set_read_timeout(None);
            unlimited.map_err(|e| format!("the connection cannot be set up ({e})"))?;
        }
        Ok(())
    }
}

/// Whether a worker whose reply to HELLO is `hello` can be understood.
fn check_version(hello: &[u8]) -> Result<(), String> {
    let [major, minor] = rpc::ggml_sys_rpc_version().to_be_bytes();
    match hello {
        [theirs, later, ..] if *theirs == major && *later <= minor => Ok(()),
        [theirs, later, ..] => Err(format!(
            "it speaks version {theirs}.{later} of ggml's protocol, this program {major}.{minor}: \
             use the same release on both"
        )),
        _ => Err("its hello is too short".to_owned()),
    }
}

impl Peer for Client {
    fn send(&mut self, data: &[u8]) -> bool {
        self.requests.sent(data);
        self.write(|writer| writer.write_all(data));
        true
    }

    fn flush(&mut self) -> bool {
        self.write(Write::flush);
        true
    }

    fn receive(&mut self, out: &mut [u8]) -> bool {
        if let Err(reason) = self.read(out) {
            self.lose(reason);
            self.requests.make_up(out);
        }
        true
    }
}

/// Gives ggml the functions below. Called before a connection is made or served.
pub(super) fn install() {
    static TRANSPORT: rpc::Transport = rpc::Transport {
        connect,
        send,
        flush,
        receive,
        close,
    };
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the table lives as long as the process.
        unsafe { rpc::ggml_sys_rpc_use_transport(&TRANSPORT) }
    });
}

unsafe extern "C" fn connect(key: *const c_char) -> *mut c_void {
    // SAFETY: ggml passes the key that it was given, a NUL-terminated text.
    let key = unsafe { CStr::from_ptr(key) }.to_string_lossy();
    let link = link_of(&key).unwrap_or_else(|| {
        // Nobody holds the worker any more; what is left of it in ggml must still come to rest.
        let link = Link {
            address: String::new(),
            lost: Default::default(),
        };
        link.lose("it is not in use any more");
        Arc::new(link)
    });
    Box::into_raw(Box::new(Handle(Box::new(Client::new(link))))).cast()
}

unsafe extern "C" fn send(peer: *mut c_void, data: *const c_void, size: usize) -> bool {
    if size == 0 {
        return true;
    }
    // SAFETY: the peer is a `Handle` that no other thread uses now, and ggml passes `size` readable
    // bytes.
    unsafe { handle(peer).send(std::slice::from_raw_parts(data.cast(), size)) }
}

unsafe extern "C" fn flush(peer: *mut c_void) -> bool {
    // SAFETY: as above.
    unsafe { handle(peer) }.flush()
}

unsafe extern "C" fn receive(peer: *mut c_void, data: *mut c_void, size: usize) -> bool {
    let out: &mut [u8] = match size {
        0 => &mut [],
        // SAFETY: ggml passes `size` bytes that are its own to write.
        _ => unsafe {
            // They may never have been written, which a slice of them must have been.
            std::ptr::write_bytes(data.cast::<u8>(), 0, size);
            std::slice::from_raw_parts_mut(data.cast(), size)
        },
    };
    // SAFETY: as above.
    unsafe { handle(peer) }.receive(out)
}

unsafe extern "C" fn close(peer: *mut c_void) {
    // SAFETY: made by `connect`, closed once.
    drop(unsafe { Box::from_raw(peer.cast::<Handle>()) });
}

/// # Safety
/// `peer` is a `Handle` that is alive and not in use.
unsafe fn handle<'a>(peer: *mut c_void) -> &'a mut dyn Peer {
    // SAFETY: as the caller promises.
    unsafe { &mut *(*peer.cast::<Handle>()).0 }
}
