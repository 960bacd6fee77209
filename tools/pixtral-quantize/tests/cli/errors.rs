//! Checkpoints and places that do not work: one sentence that names what is wrong, and nothing
//! under the final name.

use crate::support::{Outcome, Place, TOOL};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    process::Command,
};

/// Converts the checkpoint `tiny`, which must fail without leaving a model.
#[track_caller]
fn refusal(place: &Place, args: &str) -> String {
    let sentence = place.run(args).error();
    assert_eq!(place.files("gguf"), [""; 0]);
    sentence
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} lacks {part:?}");
    }
}

/// Changes params.json.
fn edit_params(place: &Place, edit: impl FnOnce(&mut Value)) {
    let path = place.path("tiny/params.json");
    let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

/// Changes the entry of tensor `name` in the header of the weights; returns where its bytes begin.
fn edit_header(path: &Path, name: &str, edit: impl FnOnce(&mut Value)) -> u64 {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    edit(&mut header[name]);
    let start = header[name]["data_offsets"][0].as_u64().unwrap();
    let text = header.to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.write_all(&bytes[8 + length..]).unwrap();
    8 + text.len() as u64 + start
}

const WEIGHTS: &str = "tiny/consolidated.safetensors";
const TENSOR: &str = "layers.1.feed_forward.w2.weight";

#[test]
fn a_missing_shard_is_named() {
    let place = Place::new();
    let synth = "synth --shape tiny --checkpoint tiny --shards 3";
    place.run(synth).ok();
    let shard = "consolidated-00002-of-00003.safetensors";
    fs::remove_file(place.path("tiny").join(shard)).unwrap();
    let sentence = refusal(&place, "q4_k tiny");
    assert_says(&sentence, &[shard, "missing", "download it"]);
}

#[test]
fn a_half_downloaded_shard_is_named_with_both_lengths() {
    let place = Place::with_checkpoint();
    let file = File::options().write(true).open(place.path(WEIGHTS));
    let file = file.unwrap();
    let whole = file.metadata().unwrap().len();
    file.set_len(whole / 2).unwrap();
    let sentence = refusal(&place, "q4_k tiny");
    let lengths = format!("has {} of {whole} bytes", whole / 2);
    assert_says(&sentence, &[WEIGHTS, &lengths, "download it again"]);
}

#[test]
fn a_wrong_type_and_a_wrong_shape_name_the_tensor() {
    let place = Place::with_checkpoint();
    let path = place.path(WEIGHTS);
    edit_header(&path, TENSOR, |entry| entry["dtype"] = json!("I16"));
    assert_says(&refusal(&place, "q4_k tiny"), &[TENSOR, "I16"]);

    edit_header(&path, TENSOR, |entry| {
        entry["dtype"] = json!("BF16");
        entry["shape"].as_array_mut().unwrap().reverse();
    });
    let sentence = refusal(&place, "q4_k tiny");
    assert_says(&sentence, &[TENSOR, "[768, 256]", "[256, 768]"]);
}

#[test]
fn weights_that_are_not_numbers_are_counted() {
    let place = Place::with_checkpoint();
    let path = place.path(WEIGHTS);
    let start = edit_header(&path, TENSOR, |_| ());
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    for value in [0, 777, 256 * 768 - 1] {
        file.seek(SeekFrom::Start(start + 2 * value)).unwrap();
        let mut old = [0; 2];
        file.read_exact(&mut old).unwrap();
        // All bits of the exponent: infinite or not a number.
        file.seek_relative(-2).unwrap();
        file.write_all(&[old[0] | 0x80, old[1] | 0x7f]).unwrap();
    }
    let sentence = refusal(&place, "q4_k tiny");
    let expected = "tensor blk.1.ffn_down.weight: 3 of 196608 values are NaN or infinite";
    assert_says(&sentence, &[expected]);
}

#[test]
fn params_json_may_say_more_but_not_less() {
    let place = Place::with_checkpoint();
    edit_params(&place, |json| json["strange"] = json!([1, 2]));
    let report = place.run("q8_0 tiny -o noted.gguf").ok();
    let note = "note: tiny/params.json: unknown field strange ([1,2]) is ignored";
    assert_says(&report, &[note]);
    fs::remove_file(place.path("noted.gguf")).unwrap();

    edit_params(&place, |json| {
        json.as_object_mut().unwrap().remove("hidden_dim");
    });
    let sentence = refusal(&place, "q4_k tiny");
    assert_says(&sentence, &["tiny/params.json", "hidden_dim", "missing"]);

    fs::write(place.path("tiny/params.json"), "{").unwrap();
    assert_says(&refusal(&place, "q4_k tiny"), &["not a JSON file"]);
}

#[test]
fn what_is_not_a_checkpoint_is_told_apart() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let sentence = refusal(&place, "q4_k empty");
    assert_says(&sentence, &["empty", "params.json", "config.json"]);
    let sentence = refusal(&place, "q4_k nowhere");
    assert_says(&sentence, &["nowhere: no such file or folder"]);
    place.run("synth --shape tiny q8_0 -o model.gguf").ok();
    let sentence = place.run("q4_k model.gguf -o other.gguf").error();
    assert_says(&sentence, &["model.gguf: this is a GGUF file"]);
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    let place = Place::with_checkpoint();
    place.run("q8_0 tiny -o x.gguf").ok();
    let before = place.read("x.gguf");
    let sentence = place.run("q4_k tiny -o x.gguf").error();
    assert_says(&sentence, &["x.gguf: exists already"]);
    assert!(before == place.read("x.gguf"));

    let sentence = place.run("q4_k tiny -o tiny").error();
    assert_says(&sentence, &["tiny: is a folder"]);
    let sentence = place.run("q4_k tiny -o no/folder/x.gguf").error();
    assert_says(&sentence, &["no such file or folder"]);
    let weights = place.read(WEIGHTS);
    let args = format!("q4_k tiny --overwrite -o {WEIGHTS}");
    let sentence = place.run(&args).error();
    assert_says(&sentence, &[WEIGHTS, "is a file of the checkpoint"]);
    assert!(weights == place.read(WEIGHTS));
}

#[test]
fn exceptions_without_effect_are_refused() {
    let place = Place::with_checkpoint();
    let sentence = refusal(&place, "q4_k tiny --tensor-type atn_q=q8_0");
    assert_says(&sentence, &["atn_q=q8_0", "no tensor has such a name"]);
    let sentence = refusal(&place, "q4_k tiny --tensor-type norm=q8_0 --dry-run");
    assert_says(&sentence, &["always f32"]);
}

#[cfg(unix)]
#[test]
fn files_without_permission_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_checkpoint();
    let weights = place.path(WEIGHTS);
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&weights).is_ok() {
        println!("this user may read everything, nothing to test");
        return;
    }
    let sentence = refusal(&place, "q4_k tiny");
    assert_says(&sentence, &[WEIGHTS, "no permission"]);
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o644)).unwrap();

    let folder = place.path("locked");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let sentence = refusal(&place, "q4_k tiny -o locked/x.gguf");
    assert_says(&sentence, &["locked/x.gguf", "no permission"]);
}

/// Runs `script` with the tool and `args` as its arguments.
#[cfg(unix)]
fn shell(place: &Place, script: &str, args: &str) -> Outcome {
    let mut command = Command::new("sh");
    command.current_dir(place.path(""));
    command.args(["-c", script, "sh", TOOL]);
    command.args(args.split_whitespace());
    command.output().unwrap().into()
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_leaves_an_unfinished_file_to_resume() {
    let place = Place::with_checkpoint();
    // A limit on the size of files stops writes half-way, as a full disk does, without needing one.
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";
    let sentence = shell(&place, script, "q8_0 tiny").error();
    assert_says(&sentence, &["tiny-q8_0.gguf.partial: cannot write it"]);
    assert_eq!(place.files("gguf"), [""; 0]);
    assert_eq!(place.files("partial"), ["tiny-q8_0.gguf.partial"]);

    let outcome = place.run("q8_0 tiny");
    assert_says(&outcome.stderr, &["resuming tiny-q8_0.gguf.partial: "]);
    outcome.ok();
    place.run("q8_0 tiny -o whole.gguf").ok();
    assert!(place.read("tiny-q8_0.gguf") == place.read("whole.gguf"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_is_written() {
    let place = Place::with_checkpoint();
    fs::create_dir(place.path("small")).unwrap();
    // A file system of 2 MB, for which an ordinary user needs a name space of its own.
    let script = "unshare --user --map-root-user --mount sh -c '
        mount -t tmpfs -o size=2m tmpfs small || exit 99
        \"$@\"; code=$?; ls small; exit $code' sh \"$@\"";
    let outcome = shell(&place, script, "q8_0 tiny -o small/x.gguf");
    if outcome.code != Some(1) || !outcome.stderr.starts_with("error: ") {
        println!("no name spaces here, passed over: {}", outcome.stderr);
        return;
    }
    // Standard output, which an error leaves empty, shows that the disk is empty too.
    let sentence = outcome.error();
    assert_says(&sentence, &["small/x.gguf: 0.01 GB are needed but only"]);
}
