//! The whole pass on small models of random weights, and everything that can interrupt it.

use super::*;
use crate::checkpoint::{Checkpoint, Dtype, Format, Synthetic, TensorRows};
use crate::config::{Config, Group, TensorSpec};
use crate::gguf::{File, TensorType, partial_path};
use crate::runtime::Model;
use crate::tokenizer::Tokenizer;
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// A shape of a few million weights, whose matrices every type's blocks divide.
fn small() -> Config {
    let mut config = Config::pixtral_12b();
    let (t, v) = (&mut config.text, &mut config.vision);
    (t.block_count, t.embedding_length, t.feed_forward_length) = (2, 256, 512);
    (t.head_count, t.head_count_kv, t.head_dim, t.vocab_size) = (4, 1, 64, 1300);
    (v.block_count, v.embedding_length, v.feed_forward_length) = (1, 256, 256);
    v.head_count = 4;
    config
}

fn source() -> Synthetic {
    Synthetic::new(small(), 5).unwrap()
}

fn recipe(name: &str) -> Recipe {
    name.parse().unwrap()
}

fn silent(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn convert(source: &dyn TensorSource, path: &Path, name: &str) -> Result<Report> {
    let options = QuantizeOptions::default();
    quantize(source, path, &recipe(name), &options, &mut silent)
}

/// Converts until the tensor called `last` is in turn, so that those before it are complete.
fn convert_until(source: &dyn TensorSource, path: &Path, name: &str, last: &str) -> Error {
    let mut stop = |event: &Event| match event {
        Event::Converting { tensor, .. } if *tensor == last => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let options = QuantizeOptions::default();
    quantize(source, path, &recipe(name), &options, &mut stop).unwrap_err()
}

/// A folder and a file name in it.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    (dir, path)
}

/// A source with one value changed.
struct Changed<'a> {
    inner: &'a Synthetic,
    tensor: &'static str,
    /// Place within the tensor, and what stands there.
    changes: Vec<(u64, f32)>,
}

struct ChangedRows<'a> {
    inner: Box<dyn TensorRows + 'a>,
    changes: &'a [(u64, f32)],
}

impl TensorSource for Changed<'_> {
    fn format(&self) -> Format {
        self.inner.format()
    }
    fn config(&self) -> &Config {
        self.inner.config()
    }
    fn config_sha256(&self) -> &str {
        self.inner.config_sha256()
    }
    fn notes(&self) -> &[String] {
        &[]
    }
    fn tokenizer(&self) -> Result<Tokenizer> {
        self.inner.tokenizer()
    }
    fn tensor<'a>(&'a self, spec: &TensorSpec) -> Result<Box<dyn TensorRows + 'a>> {
        let changes: &[_] = match spec.name == self.tensor {
            true => &self.changes,
            false => &[],
        };
        let inner = self.inner.tensor(spec)?;
        Ok(Box::new(ChangedRows { inner, changes }))
    }
}

impl TensorRows for ChangedRows<'_> {
    fn dtype(&self) -> Dtype {
        self.inner.dtype()
    }
    fn n_rows(&self) -> u64 {
        self.inner.n_rows()
    }
    fn row_len(&self) -> usize {
        self.inner.row_len()
    }
    fn read_rows(&self, rows: Range<u64>, out: &mut [f32]) -> Result<()> {
        let first = rows.start * self.row_len() as u64;
        self.inner.read_rows(rows, out)?;
        for (place, value) in self.changes {
            let at = place.checked_sub(first).map(|at| at as usize);
            if let Some(out) = at.and_then(|at| out.get_mut(at)) {
                *out = *value;
            }
        }
        Ok(())
    }
}

#[test]
fn every_type_makes_a_file_that_the_runtime_opens() {
    let source = source();
    for ty in TYPES {
        let (_dir, path) = place();
        let report = convert(&source, &path, ty.name()).unwrap();
        let model = Model::open(&path).unwrap();
        let file = model.file();
        file.verify(|_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(model.config(), source.config());
        assert_eq!(file.bytes().len() as u64, report.file_bytes);
        assert_eq!(file.tensor("blk.1.attn_q.weight").unwrap().ty, ty);
        assert_eq!(
            file.tensor("blk.1.attn_norm.weight").unwrap().ty,
            TensorType::F32
        );
        let bytes: u64 = report.groups.iter().map(|g| g.bytes).sum();
        assert_eq!(bytes, file.tensors().iter().map(|t| t.n_bytes).sum::<u64>());
        assert!(!partial_path(&path).exists());
    }
}

#[test]
fn groups_begin_on_pages_and_tensors_on_cache_lines() {
    let (_dir, path) = place();
    convert(&source(), &path, "q4_k").unwrap();
    let file = File::open(&path).unwrap();
    let specs = crate::config::inventory(&small());
    let mut group: Option<Group> = None;
    for (spec, tensor) in specs.iter().zip(file.tensors()) {
        assert_eq!(tensor.name, spec.name);
        assert_eq!(tensor.offset % 64, 0);
        if group.replace(spec.group) != Some(spec.group) {
            assert_eq!(tensor.offset % 4096, 0, "{}", spec.name);
        }
    }
    let recorded = file.metadata().str("pixtral.quantize.recipe").unwrap();
    assert_eq!(recorded, "q4_k, vision q8_0");
    assert_eq!(file.metadata().u32("general.file_type").unwrap(), 15);
}

#[test]
fn a_preview_is_the_report_without_errors() {
    let (_dir, path) = place();
    let mut report = convert(&source(), &path, "q4_k").unwrap();
    let preview = preview(&source(), &recipe("q4_k")).unwrap();
    for group in &mut report.groups {
        let error = group.rms_error.take().unwrap();
        let bound = match group.ty {
            "f32" => 0.0,
            "f16" => 3e-4,
            "q8_0" => 0.01,
            "q6_k" => 0.03,
            _ => 0.1,
        };
        assert!(error <= bound, "{}: {error}", group.ty);
        assert!(error > 0.0 || ["f32", "f16"].contains(&group.ty));
        group.errors = Default::default();
    }
    assert_eq!(report, preview);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (_dir, path) = place();
    let one = QuantizeOptions {
        n_threads: Some(1),
        overwrite: true,
        ..Default::default()
    };
    let first = convert(&source(), &path, "q5_k").unwrap();
    let bytes = fs::read(&path).unwrap();
    let second = quantize(&source(), &path, &recipe("q5_k"), &one, &mut silent).unwrap();
    assert_eq!(first, second);
    assert!(bytes == fs::read(&path).unwrap());
}

#[test]
fn an_interrupted_conversion_is_resumed_to_the_same_bytes() {
    let source = source();
    let (_dir, path) = place();
    convert(&source, &path, "q4_k").unwrap();
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for last in ["v.pre_ln.weight", "blk.0.ffn_up.weight", "output.weight"] {
        let e = convert_until(&source, &path, "q4_k", last);
        assert_eq!(e.kind(), ErrorKind::Cancelled);
        assert!(!path.exists() && partial_path(&path).exists());
    }
    let mut seen = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::Resuming { tensors, of } = event {
            seen.push((*tensors, *of));
        }
        ControlFlow::Continue(())
    };
    let options = QuantizeOptions::default();
    let report = quantize(&source, &path, &recipe("q4_k"), &options, &mut hear).unwrap();
    let n = crate::config::inventory(&small()).len();
    assert_eq!(seen, [(n - 1, n)]);
    assert_eq!(report.resumed_tensors, n - 1);
    assert!(whole == fs::read(&path).unwrap());
    assert!(!partial_path(&path).exists());
}

#[test]
fn progress_runs_from_nothing_to_everything() {
    let (_dir, path) = place();
    let mut seen = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::Converting { done, total, .. } = event {
            seen.push((*done, *total));
        }
        ControlFlow::Continue(())
    };
    let options = QuantizeOptions::default();
    quantize(&source(), &path, &recipe("q8_0"), &options, &mut hear).unwrap();
    let total = seen[0].1;
    assert_eq!(seen[0].0, 0);
    assert_eq!(*seen.last().unwrap(), (total, total));
    assert!(seen.windows(2).all(|w| w[0].0 <= w[1].0));
}

#[test]
fn an_unfinished_file_of_another_conversion_is_not_continued() {
    let (_dir, path) = place();
    convert_until(&source(), &path, "q4_k", "output.weight");
    let other_recipe = convert(&source(), &path, "q5_k").unwrap_err();
    assert!(other_recipe.message().contains("cannot be resumed"));
    let other_weights = Synthetic::new(small(), 6).unwrap();
    let e = convert(&other_weights, &path, "q4_k").unwrap_err();
    assert!(
        e.message()
            .contains("other weights in tensor v.patch_embd.weight"),
        "{e}"
    );
    let anew = QuantizeOptions {
        resume: false,
        ..Default::default()
    };
    let recipe = recipe("q4_k");
    let report = quantize(&other_weights, &path, &recipe, &anew, &mut silent).unwrap();
    assert_eq!(report.resumed_tensors, 0);
}

#[test]
fn an_unfinished_file_older_than_the_checkpoint_is_not_continued() {
    let (dir, path) = place();
    let folder = dir.path().join("checkpoint");
    source().write(&folder, 1, &mut |_, _| Ok(())).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    convert_until(&checkpoint, &path, "q4_k", "output.weight");
    let weights = folder.join("consolidated.safetensors");
    let later = SystemTime::now() + Duration::from_secs(60);
    let file = fs::File::options().write(true).open(&weights).unwrap();
    file.set_modified(later).unwrap();
    let e = convert(&checkpoint, &path, "q4_k").unwrap_err();
    assert!(e.message().contains("is older than"), "{e}");
    assert!(e.message().contains("consolidated.safetensors"), "{e}");
}

#[test]
fn weights_that_are_not_finite_are_counted_and_nothing_is_published() {
    let source = source();
    for ty in ["f32", "bf16", "q8_0", "q4_k"] {
        let (_dir, path) = place();
        let changed = Changed {
            inner: &source,
            tensor: "blk.1.ffn_down.weight",
            // In the first and the last of the pieces that threads convert.
            changes: vec![
                (3, f32::NAN),
                (4, f32::INFINITY),
                (512 * 256 - 1, f32::NEG_INFINITY),
            ],
        };
        let e = convert(&changed, &path, ty).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidTensor);
        assert_eq!(
            e.message(),
            "tensor blk.1.ffn_down.weight: 3 of 131072 values are NaN or infinite; the checkpoint \
             is damaged: download it again"
        );
        assert!(!path.exists());
        // With sound weights the conversion goes on where it stopped.
        assert!(convert(&source, &path, ty).unwrap().resumed_tensors > 0);
    }
}

#[test]
fn weights_beyond_the_range_of_f16_need_a_wider_type() {
    let source = source();
    let changed = Changed {
        inner: &source,
        tensor: "output.weight",
        changes: vec![(7, 1e5)],
    };
    for ty in ["f16", "q4_k", "q8_0"] {
        let (_dir, path) = place();
        let e = convert(&changed, &path, ty).unwrap_err();
        assert!(e.message().contains("output.weight: 1 of"), "{e}");
        assert!(e.message().contains("choose bf16 or f32"), "{e}");
    }
    let (_dir, path) = place();
    convert(&changed, &path, "bf16").unwrap();
}

#[test]
fn a_file_is_replaced_only_when_asked_and_never_the_checkpoint() {
    let (dir, path) = place();
    let folder = dir.path().join("checkpoint");
    source().write(&folder, 2, &mut |_, _| Ok(())).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    fs::write(&path, "precious").unwrap();
    let e = convert(&checkpoint, &path, "q8_0").unwrap_err();
    assert!(e.message().contains("exists already"), "{e}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let e = convert(&checkpoint, &folder, "q8_0").unwrap_err();
    assert!(e.message().contains("is a folder"), "{e}");
    let overwrite = QuantizeOptions {
        overwrite: true,
        ..Default::default()
    };
    let recipe = recipe("q8_0");
    assert_eq!(checkpoint.files().len(), 5);
    for input in checkpoint.files() {
        let e = quantize(&checkpoint, &input, &recipe, &overwrite, &mut silent).unwrap_err();
        assert!(e.message().contains("is a file of the checkpoint"), "{e}");
    }
    quantize(&checkpoint, &path, &recipe, &overwrite, &mut silent).unwrap();
    Model::open(&path).unwrap();
}

#[test]
fn the_report_is_text_and_json() {
    let report = preview(&source(), &recipe("q4_k")).unwrap();
    let text = report.to_string();
    assert!(text.contains("decoder    q4_k"), "{text}");
    assert!(
        text.contains("note: v.patch_embd.weight: f16 instead of q8_0"),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["source"]["format"], "synthetic");
    assert_eq!(json["groups"][0]["type"], "f16");
    assert_eq!(json["groups"][0]["rms_error"], serde_json::Value::Null);
    assert_eq!(json["fallbacks"][0]["used"], "f16");
}

#[test]
fn a_synthesised_file_is_a_sound_model_that_repeats_its_rows() {
    let mut config = small();
    // More rows than the different tiles hold: 8 of 1024 rows.
    config.text.vocab_size = 9300;
    let source = Synthetic::new(config, 5).unwrap();
    let (_dir, path) = place();
    let options = QuantizeOptions::default();
    let report = synthesize(&source, &path, &recipe("q4_k"), &options, &mut silent).unwrap();
    let model = Model::open(&path).unwrap();
    let file = model.file();
    file.verify(|_, _| ControlFlow::Continue(())).unwrap();
    let error = report.groups.last().unwrap().rms_error.unwrap();
    assert!((0.005..0.05).contains(&error), "{error}");

    let embedding = file.tensor("token_embd.weight").unwrap();
    let row_bytes = (embedding.n_bytes / embedding.n_rows()) as usize;
    let rows: std::collections::HashSet<_> = file.data(embedding).chunks(row_bytes).collect();
    assert!(rows.len() > 2000 && rows.len() <= 8192, "{}", rows.len());
    let first = fs::read(&path).unwrap();
    let again = QuantizeOptions {
        overwrite: true,
        ..options
    };
    synthesize(&source, &path, &recipe("q4_k"), &again, &mut silent).unwrap();
    assert!(first == fs::read(&path).unwrap());
}
