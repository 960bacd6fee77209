//! A worker and its client in one process: what goes right, and that nothing that goes wrong ends it.

use super::{Server, ServerOptions};
use crate::{
    ErrorKind,
    ggml::{
        Backend, Buffer, CancelFlag, Context, Device, DeviceKind, Graph, Scheduler, Tensor, Type,
    },
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

/// A worker that serves in a thread.
struct Running {
    server: Arc<Server>,
    stop: CancelFlag,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(memory: u64, cache_dir: Option<&Path>) -> Self {
        let options = ServerOptions {
            device: Device::cpu().unwrap(),
            n_threads: 1,
            memory,
            cache_dir: cache_dir.map(Path::to_owned),
            cache_bytes: 1 << 30,
            insecure: false,
        };
        let server = Arc::new(Server::bind("127.0.0.1:0", options).unwrap());
        let stop = CancelFlag::default();
        let thread = thread::spawn({
            let (server, stop) = (server.clone(), stop.clone());
            move || server.run(&stop, &mut |_| ()).unwrap()
        });
        Self {
            server,
            stop,
            thread: Some(thread),
        }
    }

    fn device(&self) -> Device {
        let address = self.server.address().to_string();
        Device::connect(&address).unwrap().swap_remove(0)
    }

    fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

const MIB: u64 = 1 << 20;

/// A weight of `n` numbers on `device`.
fn weight(device: &Device, n: usize) -> crate::Result<Tensor> {
    let context = Context::new(1, 0)?;
    let tensor = context.tensor(Type::F32, &[n]);
    Buffer::allocate_weights_on(&context, device)?;
    Ok(tensor)
}

/// A graph that adds `weight` to itself, ready to be run by a scheduler over its device.
fn doubled(device: &Device, weight: &Tensor) -> crate::Result<(Scheduler, Graph, Tensor)> {
    let mut graph = Graph::new(16)?;
    let sum = graph.context().add(weight, weight);
    graph.context().output(&sum);
    graph.expand(&sum);
    let cancel = CancelFlag::default();
    let backend = Backend::on(device, cancel.clone())?;
    let mut scheduler = Scheduler::with_devices(vec![backend], Backend::cpu(1, cancel)?, 16)?;
    scheduler.place(&graph)?;
    Ok((scheduler, graph, sum))
}

#[test]
fn a_worker_computes_from_its_own_memory() {
    let worker = Running::start(64 * MIB, None);
    let device = worker.device();
    assert_eq!(device.kind(), DeviceKind::Remote);
    assert_eq!(device.name(), format!("rpc:{}", worker.server.address()));
    let mut x = weight(&device, 1000).unwrap();
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    x.write(&values).unwrap();
    let (mut scheduler, graph, sum) = doubled(&device, &x).unwrap();
    let mut out = vec![0.0f32; 1000];
    // The second time the worker is only told to do it again.
    for _ in 0..2 {
        scheduler.run(&graph, None).unwrap();
        scheduler.read(&graph, &sum, 0, &mut out).unwrap();
        assert!(out.iter().zip(&values).all(|(a, b)| *a == 2.0 * b));
    }
    assert!(worker.server.used_memory() >= 4000);
}

#[test]
fn clients_share_the_memory_of_a_worker_and_give_it_back() {
    let worker = Running::start(10 * MIB, None);
    let (first, second) = (worker.device(), worker.device());
    assert_eq!(first.memory().unwrap().total, 10 * MIB);
    let held = weight(&first, 6 << 18).unwrap();
    assert_eq!(second.memory().unwrap().free, 4 * MIB);
    let refused = weight(&second, 6 << 18).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::OutOfMemory);
    drop(held);
    weight(&second, 6 << 18).unwrap();
}

#[test]
fn a_worker_that_is_gone_is_an_error_and_never_the_end_of_the_process() {
    let mut worker = Running::start(64 * MIB, None);
    let device = worker.device();
    let mut x = weight(&device, 1000).unwrap();
    x.write(&[1.0f32; 1000]).unwrap();
    let (mut scheduler, graph, sum) = doubled(&device, &x).unwrap();
    scheduler.run(&graph, None).unwrap();
    worker.stop();

    let lost = |result: crate::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceLost, "{error}");
        assert!(
            error.message().starts_with("the worker at 127.0.0.1:"),
            "{error}"
        );
    };
    lost(scheduler.run(&graph, None));
    assert!(device.is_lost());
    let mut out = vec![0.0f32; 1000];
    lost(scheduler.read(&graph, &sum, 0, &mut out));
    lost(x.write(&[2.0; 1000]));
    lost(x.clear(0, 8));
    lost(x.read_bytes(0, &mut [0; 8]));
    lost(weight(&device, 10).map(drop));
    lost(device.memory().map(drop));
    lost(Backend::on(&device, CancelFlag::default()).map(drop));
    lost(scheduler.place(&graph));
    drop((scheduler, graph, sum, x, device));
}

#[test]
fn weights_that_were_there_before_come_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Running::start(64 * MIB, Some(folder.path()));
    // More than ggml asks for by hash.
    let n = 3 << 20;
    let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let files = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let upload = || {
        let device = worker.device();
        let mut x = weight(&device, n).unwrap();
        x.write(&values).unwrap();
        let mut bytes = vec![0; 4 * n];
        x.read_bytes(0, &mut bytes).unwrap();
        let found = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        assert!(found.eq(values.iter().copied()));
    };
    upload();
    let kept = files();
    assert_eq!(kept.len(), 1);
    let age = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let file = std::fs::File::options()
        .append(true)
        .open(&kept[0])
        .unwrap();
    file.set_modified(age).unwrap();
    upload();
    // It was used, and not written again.
    assert!(file.metadata().unwrap().modified().unwrap() > age);
    assert_eq!(files(), kept);

    // Half a file, as a full disk would leave it, is not believed.
    file.set_len(100).unwrap();
    upload();
    assert_eq!(std::fs::metadata(&kept[0]).unwrap().len(), 4 * n as u64);
}

/// A server that is no worker: it reads a hello and answers `reply`.
fn impostor(reply: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 33]).unwrap();
        stream.write_all(&reply).unwrap();
    });
    (address, thread)
}

#[test]
fn what_is_no_worker_or_not_of_this_version_is_refused() {
    let hello = |size: u64, major: u8| {
        let mut reply = size.to_le_bytes().to_vec();
        reply.extend([major, 0, 0, 0]);
        reply.extend([0; 24]);
        reply
    };
    for (reply, expected) in [
        (Vec::new(), "closed the connection"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "makes no sense",
        ),
        (hello(28, 1), "speaks version 1.0"),
        (hello(29, 7), "makes no sense"),
        // It says hello and leaves.
        (hello(28, 7), "closed the connection"),
    ] {
        let (address, thread) = impostor(reply);
        let error = Device::connect(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceLost);
        assert!(error.message().contains(expected), "{error}");
        thread.join().unwrap();
    }
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Device::connect(&nobody.to_string()).unwrap_err();
    assert!(error.message().contains("no connection"), "{error}");
    assert!(Device::connect("127.0.0.1").is_err());
}

#[test]
fn nonsense_from_a_client_ends_its_connection_and_nothing_else() {
    let worker = Running::start(64 * MIB, None);
    for nonsense in [vec![99; 50], vec![14; 200], Vec::new()] {
        let mut stream = std::net::TcpStream::connect(worker.server.address()).unwrap();
        _ = stream.write_all(&nonsense);
    }
    assert!(worker.device().memory().is_ok());
}

#[test]
fn an_address_that_others_can_reach_has_to_be_allowed() {
    let options = ServerOptions {
        device: Device::cpu().unwrap(),
        n_threads: 1,
        memory: MIB,
        cache_dir: None,
        cache_bytes: 0,
        insecure: false,
    };
    let error = Server::bind("0.0.0.0:0", options.clone()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    for part in ["no passwords", "ssh -L", "--insecure"] {
        assert!(error.message().contains(part), "{error}");
    }
    let allowed = ServerOptions {
        insecure: true,
        ..options
    };
    assert!(Server::bind("0.0.0.0:0", allowed).is_ok());
}
