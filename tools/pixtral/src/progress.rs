//! Progress of reading a prompt, on standard error; silent where that is not a terminal.

use indicatif::ProgressBar;
use pixtral::session::Event;
use pixtral_terminal::{noteln, progress};

/// A progress line for reading a prompt: pictures first, then tokens.
pub struct ReadingProgress {
    bar: ProgressBar,
}

impl ReadingProgress {
    /// A line that is not shown yet.
    pub fn new() -> Self {
        Self {
            bar: progress::bar("{spinner} {msg} {bar:30} {pos}/{len} {eta}", 0),
        }
    }

    /// Shows what `event` says; the first piece of text takes the line away.
    pub fn show(&self, event: &Event) {
        match *event {
            Event::Encoding {
                image,
                n_images,
                layer,
                n_layers,
            } => {
                self.bar.set_message(match n_images {
                    1 => "looking at the picture, layer".to_owned(),
                    _ => format!("looking at picture {} of {n_images}, layer", image + 1),
                });
                self.bar.set_length(n_layers as u64);
                self.bar.set_position(layer as u64);
            }
            Event::Reading { done, total } => {
                self.bar.set_message("reading, token");
                self.bar.set_length(total as u64);
                self.bar.set_position(done as u64);
                if done == total {
                    self.clear();
                }
            }
            Event::Placing { done, total } => {
                self.bar.set_message("moving weights to devices, byte");
                self.bar.set_length(total);
                self.bar.set_position(done);
            }
            Event::Note(note) => self.bar.suspend(|| noteln!("{note}")),
            _ => self.clear(),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
