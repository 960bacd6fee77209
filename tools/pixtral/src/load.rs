//! Opening a model file as the command line asks, with a progress bar where it is read into memory.

use clap::Args;
use pixtral::{
    Result,
    ggml::CancelFlag,
    runtime::{LoadMode, LoadOptions, Model},
    session::Session,
};
use pixtral_terminal::{Interrupt, noteln, progress::ByteProgress, units};
use std::{path::Path, sync::Arc};

/// How a model file is opened.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// Where weights are read from: mmap (the mapped file), copy (a copy of it in memory) or auto
    /// (what is best here)
    #[arg(long, value_name = "MODE", default_value = "auto")]
    load: LoadMode,
    /// Say how the model was loaded, and why
    #[arg(short, long)]
    verbose: bool,
}

impl LoadArgs {
    /// The model in the file `path`. Ctrl-C ends reading it into memory.
    pub fn open(&self, path: &Path, interrupt: &Interrupt) -> Result<Arc<Model>> {
        let options = LoadOptions { mode: self.load };
        let flag = CancelFlag::default();
        let mut bar = ByteProgress::default();
        let model = interrupt.during(flag.clone(), || {
            Model::open_with(path, &options, &mut |done, total| {
                bar.at(done, total, "loading the model");
                flag.flow()
            })
        })?;
        drop(bar);
        if self.verbose {
            let loading = model.loading();
            noteln!("weights by {}: {}", loading.mode, loading.reason);
        }
        Ok(model)
    }

    /// Says what the session's memory means for it, if it is slower than it could be or if asked.
    pub fn explain(&self, session: &Session) {
        if let Some((streamed, parts)) = session.streamed_parts() {
            noteln!(
                "memory is short: {streamed} of {parts} parts of the weights are read from the file \
                 for each token; a smaller --ctx or --kv-type q8_0 leaves more room"
            );
        }
        if self.verbose {
            let needs = session.needs();
            noteln!(
                "memory beside the weights, at most: {} for keys and values, {} for computing, {} \
                 for pictures",
                units::bytes(needs.kv_cache),
                units::bytes(needs.decoder + needs.vision),
                units::bytes(needs.reserve)
            );
        }
    }
}
