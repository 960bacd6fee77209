//! Long work on a file: a bar while it runs, and Ctrl-C to end it.

use pixtral::{Result, ggml::CancelFlag, gguf::partial_path, quantize::Event, quantize::Progress};
use pixtral_terminal::{Interrupt, noteln, progress::ByteProgress};
use std::path::Path;

/// Runs `work`, which writes the file `output` and tells its progress to the function it is given.
pub fn run<T>(
    output: &Path,
    interrupt: &Interrupt,
    work: impl FnOnce(&mut Progress) -> Result<T>,
) -> Result<T> {
    let flag = CancelFlag::default();
    let mut bar = ByteProgress::default();
    let mut hear = |event: &Event| {
        match *event {
            Event::Resuming { tensors, of } => noteln!(
                "resuming {}: {tensors} of {of} tensors are there",
                partial_path(output).display()
            ),
            Event::Converting {
                done,
                total,
                tensor,
            } => bar.at(done, total, tensor),
            _ => {}
        }
        flag.flow()
    };
    interrupt.during(flag.clone(), || work(&mut hear))
}
