//! Both files of the pair, read back with our own reader.

use super::*;
use crate::checkpoint::Synthetic;
use crate::ggml::quantize::dequantize_rows;
use crate::gguf::{Value, WriteOptions, Writer, partial_path};
use crate::quantize::{Recipe, quantize};
use std::{collections::HashSet, fs, ops::ControlFlow, path::PathBuf};
use tempfile::TempDir;

/// Keys of the text half that llama.cpp throws without: `load_hparams` in llama-model.cpp,
/// `load_arch_hparams` in models/llama.cpp, `impl::load` in llama-vocab.cpp. The others have
/// defaults, which are not ours.
const REQUIRED_TEXT: [&str; 8] = [
    "general.architecture",
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.attention.layer_norm_rms_epsilon",
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.merges",
];

/// Keys with defaults in the same places that would make another model of it.
const NEEDED_TEXT: [&str; 12] = [
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.add_bos_token",
];

/// Keys of the vision half that `load_hparams` in clip.cpp throws without or mistakes the model
/// without.
const REQUIRED_MMPROJ: [&str; 14] = [
    "general.architecture",
    "clip.has_vision_encoder",
    "clip.projector_type",
    "clip.use_silu",
    "clip.vision.image_size",
    "clip.vision.patch_size",
    "clip.vision.embedding_length",
    "clip.vision.feed_forward_length",
    "clip.vision.block_count",
    "clip.vision.projection_dim",
    "clip.vision.attention.head_count",
    "clip.vision.attention.layer_norm_epsilon",
    "clip.vision.image_mean",
    "clip.vision.image_std",
];

struct Place {
    dir: TempDir,
    model: PathBuf,
    text: PathBuf,
    mmproj: PathBuf,
}

/// A small model of random weights in a folder of its own, after `change`d.
fn place(change: impl FnOnce(&mut Config)) -> Place {
    let mut config = Config::pixtral_12b();
    let (t, v) = (&mut config.text, &mut config.vision);
    (t.block_count, t.embedding_length, t.feed_forward_length) = (2, 256, 512);
    (t.head_count, t.head_count_kv, t.head_dim, t.vocab_size) = (4, 1, 64, 1300);
    (v.block_count, v.embedding_length, v.feed_forward_length) = (1, 256, 512);
    v.head_count = 4;
    change(&mut config);
    let dir = tempfile::tempdir().unwrap();
    let path = |name| dir.path().join(name);
    let (model, text, mmproj) = (path("m.gguf"), path("text.gguf"), path("mmproj.gguf"));
    let source = Synthetic::new(config, 5).unwrap();
    let recipe: Recipe = "q4_k".parse().unwrap();
    let options = QuantizeOptions::default();
    quantize(&source, &model, &recipe, &options, &mut silent).unwrap();
    Place {
        dir,
        model,
        text,
        mmproj,
    }
}

fn silent(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Place {
    fn export(&self) -> Result<ExportReport> {
        self.export_to(&self.text, &self.mmproj, ExportOptions::default())
    }

    fn export_to(
        &self,
        text: &Path,
        mmproj: &Path,
        options: ExportOptions,
    ) -> Result<ExportReport> {
        let file = File::open(&self.model).unwrap();
        export(&file, text, mmproj, options, &mut silent)
    }

    fn files(&self) -> [File; 3] {
        [&self.model, &self.text, &self.mmproj].map(|path| File::open(path).unwrap())
    }
}

#[test]
fn every_tensor_is_in_one_half_with_its_name_shape_type_and_bytes() {
    let place = place(|_| ());
    let report = place.export().unwrap();
    let [ours, text, mmproj] = place.files();
    assert_eq!(report.text.tensors, text.tensors().len());
    assert_eq!(report.mmproj.tensors, mmproj.tensors().len());
    let size = fs::metadata(&place.text).unwrap().len();
    assert_eq!(report.text.file_bytes, size);
    let mut names = HashSet::new();
    for half in [&text, &mmproj] {
        for theirs in half.tensors() {
            assert!(names.insert(theirs.name.clone()), "{} twice", theirs.name);
            if theirs.name == "v.token_embd.img_break" {
                continue;
            }
            let tensor = ours.tensor(&theirs.name).unwrap();
            assert_eq!((theirs.ty, &theirs.dims), (tensor.ty, &tensor.dims));
            assert!(half.data(theirs) == ours.data(tensor), "{}", theirs.name);
        }
        half.verify(|_, _| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!(names.len(), ours.tensors().len() + 1);
    assert!(mmproj.find("mm.2.bias").is_some() && mmproj.find("v.blk.0.attn_out.weight").is_some());
    assert!(
        text.find("blk.1.attn_output.weight").is_some() && text.find("output.weight").is_some()
    );
}

#[test]
fn the_embedding_of_image_break_is_a_row_of_the_token_embedding() {
    let place = place(|_| ());
    place.export().unwrap();
    let [ours, _, mmproj] = place.files();
    let embedding = ours.tensor("token_embd.weight").unwrap();
    // [IMG_BREAK] is token 12 of the synthetic vocabulary.
    let mut all = vec![0.0; 1300 * 256];
    dequantize_rows(embedding.ty.into(), ours.data(embedding), 256, &mut all).unwrap();
    let row = mmproj.tensor("v.token_embd.img_break").unwrap();
    assert_eq!((row.ty, &row.dims[..]), (TensorType::F32, &[256][..]));
    let values: Vec<f32> = mmproj
        .data(row)
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    assert_eq!(values, all[12 * 256..13 * 256]);
}

#[test]
fn every_key_that_llama_cpp_asks_for_is_there() {
    let place = place(|_| ());
    place.export().unwrap();
    let [ours, text, mmproj] = place.files();
    for key in REQUIRED_TEXT.iter().chain(&NEEDED_TEXT) {
        assert!(text.metadata().contains(key), "{key}");
    }
    for key in REQUIRED_MMPROJ {
        assert!(mmproj.metadata().contains(key), "{key}");
    }
    let (text, mmproj) = (text.metadata(), mmproj.metadata());
    assert_eq!(text.str("general.architecture").unwrap(), "llama");
    assert_eq!(text.str("tokenizer.ggml.pre").unwrap(), "tekken");
    assert_eq!(text.u32("llama.attention.head_count_kv").unwrap(), 1);
    assert_eq!(text.f32("llama.rope.freq_base").unwrap(), 1e9);
    assert_eq!(text.strings("tokenizer.ggml.tokens").unwrap().len(), 1300);
    assert_eq!(mmproj.str("general.architecture").unwrap(), "clip");
    assert_eq!(mmproj.str("clip.projector_type").unwrap(), "pixtral");
    // gguf.cpp aborts where a number has another type than the one asked for.
    assert_eq!(mmproj.get("clip.vision.patch_size"), Some(&Value::U32(16)));
    assert_eq!(mmproj.get("clip.use_silu"), Some(&Value::Bool(true)));
    assert_eq!(mmproj.f32s("clip.vision.image_mean").unwrap(), MEAN_OF_CLIP);
    for metadata in [text, mmproj] {
        let ours = ours.metadata();
        assert_eq!(
            metadata.get("general.file_type"),
            ours.get("general.file_type")
        );
        assert!(
            !metadata
                .iter()
                .any(|(k, _)| k.starts_with("pixtral.") && !k.contains("checksum"))
        );
    }
}

/// As published with the model (preprocessor_config.json).
const MEAN_OF_CLIP: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

#[test]
fn nothing_is_written_where_a_path_will_not_do() {
    let place = place(|_| ());
    let options = ExportOptions::default();
    let anyway = ExportOptions { overwrite: true };
    let untouched = fs::read(&place.model).unwrap();
    let (model, text, mmproj) = (&place.model, &place.text, &place.mmproj);
    let dotted = place.dir.path().join("./text.gguf");
    for (a, b, why) in [
        (text, &dotted, "is named for both"),
        (model, mmproj, "is the file to export"),
        (text, model, "is the file to export"),
    ] {
        let e = place.export_to(a, b, anyway).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().contains(why), "{e}");
    }
    fs::write(mmproj, "precious").unwrap();
    let e = place.export_to(text, mmproj, options).unwrap_err();
    assert!(e.message().contains("exists already"), "{e}");
    assert!(!text.exists() && !partial_path(text).exists());
    assert_eq!(fs::read(mmproj).unwrap(), b"precious");
    place.export_to(text, mmproj, anyway).unwrap();
    assert!(fs::read(model).unwrap() == untouched);
}

#[test]
fn what_llama_cpp_would_run_otherwise_is_refused() {
    let place = place(|c| c.vision.rope_theta = 5e3);
    let e = place.export().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::UnsupportedModel);
    assert!(e.message().contains("rotary base is 5000"), "{e}");
    assert!(!place.text.exists());
}

#[test]
fn halves_and_incomplete_files_are_refused_by_name() {
    let place = place(|_| ());
    place.export().unwrap();
    let target = place.dir.path().join("again.gguf");
    let rest = place.dir.path().join("rest.gguf");
    for (half, expected) in [
        (&place.text, "llama.cpp's form"),
        (&place.mmproj, "(mmproj)"),
    ] {
        let file = File::open(half).unwrap();
        let options = ExportOptions::default();
        let e = export(&file, &target, &rest, options, &mut silent).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::UnsupportedModel);
        assert!(e.message().contains(expected), "{e}");
    }
    let file = File::open(&place.model).unwrap();
    let metadata = file.metadata().clone();
    let lacking = place.dir.path().join("lacking.gguf");
    let plan = Plan::new(metadata, Vec::new()).unwrap();
    let writer = Writer::create(&lacking, plan, WriteOptions::default()).unwrap();
    writer.finish().unwrap();
    let file = File::open(&lacking).unwrap();
    let options = ExportOptions::default();
    let e = export(&file, &target, &rest, options, &mut silent).unwrap_err();
    assert!(e.message().contains("token_embd.weight is missing"), "{e}");
    assert!(!target.exists() && !rest.exists());
}

#[test]
fn progress_covers_both_files_and_can_break_off() {
    let place = place(|_| ());
    let file = File::open(&place.model).unwrap();
    let options = ExportOptions::default();
    let mut seen = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::Converting { done, total, .. } = event {
            seen.push((*done, *total));
        }
        ControlFlow::Continue(())
    };
    export(&file, &place.text, &place.mmproj, options, &mut hear).unwrap();
    assert!(seen.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 == w[1].1));
    let [_, text, mmproj] = place.files();
    let tensors = text.tensors().iter().chain(mmproj.tensors());
    assert_eq!(seen[0].1, tensors.map(|t| t.n_bytes).sum::<u64>());

    let again = place.dir.path().join("again.gguf");
    let rest = place.dir.path().join("rest.gguf");
    let mut stop = |_: &Event| ControlFlow::Break(());
    let e = export(&file, &again, &rest, options, &mut stop).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Cancelled);
    assert!(!again.exists() && !rest.exists());
}
