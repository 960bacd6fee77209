//! What a client has asked: follows the requests that ggml sends, so that a reply can be judged, or
//! made up. Knows how requests are framed and nothing of sockets.

use ggml_sys::rpc;
use std::ffi::c_void;

/// The last request on a connection, and how much of the reply to it has come.
#[derive(Default)]
pub(super) struct Requests {
    stage: Stage,
    command: u8,
    size: [u8; 8],
    /// The last bytes of the body.
    tail: [u8; 8],
    /// Whether the size of the reply has been read.
    sized: bool,
}

/// What comes next in a request.
#[derive(Default)]
enum Stage {
    #[default]
    Command,
    /// The size of the body, of which so many bytes have come.
    Size(usize),
    /// So many bytes of the body.
    Body(u64),
}

impl Requests {
    /// Takes note of bytes that are sent.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let n = match self.stage {
                Stage::Command => {
                    self.command = first;
                    self.sized = false;
                    self.stage = Stage::Size(0);
                    1
                }
                Stage::Size(done) => {
                    let n = bytes.len().min(8 - done);
                    self.size[done..done + n].copy_from_slice(&bytes[..n]);
                    self.stage = match done + n {
                        8 => Stage::body(u64::from_ne_bytes(self.size)),
                        done => Stage::Size(done),
                    };
                    n
                }
                Stage::Body(left) => {
                    let n = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    self.end_in(&bytes[..n]);
                    self.stage = Stage::body(left - n as u64);
                    n
                }
            };
            bytes = &bytes[n..];
        }
    }

    /// Whether a reply has begun after the last request: false if its size comes next, true if its
    /// body does.
    pub(super) fn is_sized(&self) -> bool {
        self.sized
    }

    /// The command of the last request.
    pub(super) fn command(&self) -> u8 {
        self.command
    }

    /// The size that the reply to the last request has.
    pub(super) fn reply_size(&self) -> u64 {
        rpc::ggml_sys_rpc_reply_size(self.command, u64::from_ne_bytes(self.tail)) as u64
    }

    /// Takes note that the size of the reply has been read.
    pub(super) fn size_read(&mut self) {
        self.sized = true;
    }

    /// Fills `out`, which is as long as the part of the reply that comes next, with what a worker
    /// that has nothing would answer.
    pub(super) fn make_up(&mut self, out: &mut [u8]) {
        if !self.sized {
            let size = self.reply_size().to_ne_bytes();
            let n = out.len().min(8);
            out[..n].copy_from_slice(&size[..n]);
            self.size_read();
            return;
        }
        // SAFETY: the slice can be written to its length.
        unsafe {
            rpc::ggml_sys_rpc_empty_reply(
                self.command,
                out.as_mut_ptr().cast::<c_void>(),
                out.len(),
            );
        }
    }

    fn end_in(&mut self, body: &[u8]) {
        let n = body.len().min(8);
        self.tail.rotate_left(n);
        self.tail[8 - n..].copy_from_slice(&body[body.len() - n..]);
    }
}

impl Stage {
    fn body(left: u64) -> Self {
        match left {
            0 => Stage::Command,
            left => Stage::Body(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ggml's number of the command that reads bytes of a tensor.
    const GET_TENSOR: u8 = 8;

    fn request(command: u8, body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u64).to_ne_bytes();
        [&[command], size.as_slice(), body].concat()
    }

    #[test]
    fn replies_are_as_long_as_what_was_asked_for_however_the_request_was_cut() {
        let mut body = vec![7; 300];
        body.extend(1234u64.to_ne_bytes());
        let bytes = [
            request(rpc::command::HELLO, &[1; 24]),
            request(GET_TENSOR, &body),
        ]
        .concat();
        for step in [1, 3, 8, 9, 100, bytes.len()] {
            let mut requests = Requests::default();
            for piece in bytes.chunks(step) {
                requests.sent(piece);
            }
            let mut size = [0; 8];
            requests.make_up(&mut size);
            assert_eq!(u64::from_ne_bytes(size), 1234);
            let mut body = vec![9; 1234];
            requests.make_up(&mut body);
            assert!(body.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_request_without_body_is_complete() {
        let mut requests = Requests::default();
        requests.sent(&request(15, &[]));
        assert!(!requests.is_sized());
        assert_eq!(requests.reply_size(), 4);
        requests.size_read();
        assert!(requests.is_sized());
        requests.sent(&request(rpc::command::HELLO, &[0; 24]));
        assert!(!requests.is_sized());
        assert_eq!(requests.command(), rpc::command::HELLO);
    }
}
