//! The demonstration model: a tiny trained checkpoint that is part of the program, converted when it
//! is needed. How it was made is told in tools/demo-model.

use crate::load::LoadArgs;
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Checkpoint,
    ggml::CancelFlag,
    quantize::{Event, QuantizeOptions, Recipe, quantize},
    runtime::Model,
};
use pixtral_terminal::{Interrupt, noteln, progress::ByteProgress};
use std::{fs, path::Path, sync::Arc};

/// The checkpoint in Mistral's layout: names and contents of its files.
const CHECKPOINT: [(&str, &[u8]); 3] = [
    ("params.json", include_bytes!("../demo/params.json")),
    (
        "consolidated.safetensors",
        include_bytes!("../demo/consolidated.safetensors"),
    ),
    ("tekken.json", include_bytes!("../demo/tekken.json")),
];

/// The type that it is converted to: what people use for the real model.
const RECIPE: &str = "q4_k";

/// The model in the file `path`, or the demonstration model, which is then said.
pub fn open_or_demo(
    path: Option<&Path>,
    load: &LoadArgs,
    interrupt: &Interrupt,
) -> Result<Arc<Model>> {
    if let Some(path) = path {
        return load.open(path, interrupt);
    }
    noteln!(
        "no MODEL given: this is the demonstration model, which knows drawn shapes, printed words \
         and bar charts only"
    );
    open(load, interrupt)
}

/// Converts the demonstration model, with a progress bar, and opens it.
pub fn open(load: &LoadArgs, interrupt: &Interrupt) -> Result<Arc<Model>> {
    let folder = tempfile::tempdir()
        .map_err(|e| Error::io(std::env::temp_dir(), "create a folder in", e))?;
    let checkpoint = folder.path().join("checkpoint");
    fs::create_dir(&checkpoint).map_err(|e| Error::io(&checkpoint, "create", e))?;
    for (name, bytes) in CHECKPOINT {
        let path = checkpoint.join(name);
        fs::write(&path, bytes).map_err(|e| Error::io(&path, "write", e))?;
    }
    let file = folder.path().join("demo.gguf");
    convert(&checkpoint, &file, interrupt)?;
    let model = load.open(&file, interrupt)?;
    keep_while_mapped(folder);
    Ok(model)
}

fn convert(checkpoint: &Path, file: &Path, interrupt: &Interrupt) -> Result<()> {
    let recipe: Recipe = RECIPE.parse()?;
    let flag = CancelFlag::default();
    let mut bar = ByteProgress::default();
    let mut hear = |event: &Event| {
        if let Event::Converting { done, total, .. } = *event {
            bar.at(done, total, "converting the demonstration model");
        }
        flag.flow()
    };
    let checkpoint = Checkpoint::open(checkpoint)?;
    let options = QuantizeOptions::default();
    interrupt
        .during(flag.clone(), || {
            quantize(&checkpoint, file, &recipe, &options, &mut hear)
        })
        .map(drop)
        .map_err(|e| match e.kind() {
            // How to resume is of no use: the folder is temporary.
            ErrorKind::Cancelled => Error::new(e.kind(), "the model is not converted"),
            _ => e,
        })
}

/// On Unix a file that is mapped may lose its name, so nothing is left behind however the program
/// ends. Elsewhere it stays until the system clears its temporary files.
fn keep_while_mapped(folder: tempfile::TempDir) {
    match cfg!(unix) {
        true => drop(folder),
        false => _ = folder.keep(),
    }
}
