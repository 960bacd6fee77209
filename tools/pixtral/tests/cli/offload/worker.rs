//! A worker in a process of its own, and sessions that use some.

use crate::support::{convert, golden, picture, pixtral};
use pixtral::{
    chat::{ChatRequest, ChatTemplate, Message, Part, Prompt},
    preprocess::{PreparedImage, PreprocessOptions, Preprocessor},
    runtime::{
        KvType, Model, PlacementOptions,
        placement::{DeviceChoice, GpuLayers},
    },
    session::{Event, Session, SessionOptions},
};
use std::{
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock},
};

/// The golden checkpoint without a loss.
pub static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    Model::open(convert(
        &golden("checkpoint/mistral"),
        "f32",
        "golden-offload",
    ))
    .unwrap()
});

/// A running `pixtral worker`; killed when dropped.
pub struct Worker {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Worker {
    /// Starts one on a free port that gives `memory`.
    pub fn start(memory: &str) -> Self {
        Self::with(&["--memory", memory, "--no-cache"])
    }

    pub fn with(args: &[&str]) -> Self {
        let always = ["worker", "--listen", "127.0.0.1:0", "--threads", "1"];
        let mut child = pixtral(&[always.as_slice(), args].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening at ").unwrap();
        let address = address.split(": ").next().unwrap().to_owned();
        Self {
            child,
            stdout,
            address,
        }
    }

    /// Its device's name.
    pub fn name(&self) -> String {
        format!("rpc:{}", self.address)
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Interrupts it and returns how it ended and what it had said since it began to listen.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `n_layers` on `workers`, the vision tower on the device called `vision`.
pub fn on(workers: &[&Worker], n_layers: usize, vision: &str) -> PlacementOptions {
    let devices = workers.iter().map(|worker| DeviceChoice {
        name: worker.name(),
        memory: None,
    });
    PlacementOptions {
        devices: Some(devices.collect()),
        gpu_layers: GpuLayers::Count(n_layers),
        vision_device: Some(vision.to_owned()),
        ..PlacementOptions::default()
    }
}

/// A session for comparing numbers.
pub fn session(placement: PlacementOptions) -> Session {
    // No whole number of the cache's steps.
    session_of(placement, 500)
}

/// The same for prompts of at most `n_ctx` tokens.
pub fn session_of(placement: PlacementOptions, n_ctx: usize) -> Session {
    let options = SessionOptions {
        n_ctx: Some(n_ctx),
        n_ubatch: 64,
        kv_type: KvType::F32,
        n_threads: Some(1),
        placement,
        ..SessionOptions::default()
    };
    Session::new(MODEL.clone(), options).unwrap()
}

/// A question about a picture.
pub fn prompt() -> Prompt {
    let vision = &MODEL.config().vision;
    let image = Preprocessor::new(vision, PreprocessOptions::default())
        .prepare_file(Path::new(&picture("i0.png")))
        .unwrap();
    ask(vec![image])
}

/// A question about three pictures of the largest size, each in a colour of its own.
pub fn prompt_of_large_pictures() -> Prompt {
    let vision = &MODEL.config().vision;
    let side = vision.image_size;
    let pictures = [10, 120, 240].map(|colour| {
        Preprocessor::new(vision, PreprocessOptions::default())
            .prepare_rgb(side, side, &vec![colour; 3 * (side * side) as usize])
            .unwrap()
    });
    ask(pictures.into())
}

fn ask(images: Vec<PreparedImage>) -> Prompt {
    let vision = &MODEL.config().vision;
    let images = images.into_iter().map(|image| Part::image(Arc::new(image)));
    let question = Message::user([Part::text("What is it?")].into_iter().chain(images));
    ChatTemplate::new(MODEL.tokenizer(), vision)
        .unwrap()
        .encode(&ChatRequest::new(vec![question]), &mut |_| unreachable!())
        .unwrap()
}

/// The notes that come while `session` reads the prompt, and the logits after it.
pub fn read(session: &mut Session) -> (Vec<String>, Vec<f32>) {
    let mut notes = Vec::new();
    session
        .read(&prompt(), &mut |event| {
            if let Event::Note(note) = event {
                notes.push(note.to_owned());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    (notes, session.logits().to_vec())
}

/// Logits of the CPU alone.
pub static EXPECTED: LazyLock<Vec<f32>> =
    LazyLock::new(|| read(&mut session(PlacementOptions::cpu())).1);

/// Checks that `logits` after the [`prompt`] are those of the CPU alone, to 1e-4.
#[track_caller]
pub fn assert_expected(logits: &[f32], what: &str) {
    assert_near(logits, &EXPECTED, what);
}

/// Checks that `logits` are those that the CPU alone has `expected`, to 1e-4.
#[track_caller]
pub fn assert_near(logits: &[f32], expected: &[f32], what: &str) {
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = logits
        .iter()
        .zip(expected)
        .map(|(a, b)| square(a - b))
        .sum();
    let norm: f64 = expected.iter().map(|&b| square(b)).sum();
    let relative = (error / norm).sqrt();
    assert_eq!(logits.len(), expected.len());
    assert!(relative < 1e-4, "{what}: {relative:e} from the CPU's");
}
