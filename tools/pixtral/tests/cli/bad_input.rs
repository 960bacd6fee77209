//! Everything that can be wrong with what the program is given: one sentence, exit code 1 (2 for
//! usage), no panic.

use super::support::{MODEL, assert_refused, golden, picture, run, stderr, text};
use pixtral::gguf::{File, Metadata, Plan, WriteOptions, Writer};
use std::{fs, path::Path};

fn describe(model: &str, image: &str) -> std::process::Output {
    run(&["describe", model, image, "-n", "1"])
}

#[test]
fn models_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    let model = fs::read(&*MODEL).unwrap();
    let truncated = file("truncated.gguf", &model[..model.len() / 2]);
    let checkpoint = golden("checkpoint/mistral");
    let safetensors = text(&checkpoint.join("consolidated.safetensors"));
    for (path, expected) in [
        (text(&folder.path().join("none.gguf")), "no such file"),
        (text(folder.path()), "is a folder"),
        (file("notes.gguf", b"remember the milk\n"), "is a text file"),
        (file("empty.gguf", b""), "is empty"),
        (truncated, "truncated"),
        (safetensors, "pixtral-quantize"),
        (text(&checkpoint), "is a folder"),
    ] {
        let output = describe(&path, &picture("i0.png"));
        assert_refused(&output, &[&path, expected]);
    }
}

/// The model's file under another architecture, as the halves of llama.cpp's pair have it.
fn of_architecture(path: &Path, architecture: &str) {
    let file = File::open(&*MODEL).unwrap();
    let mut metadata: Metadata = file.metadata().clone();
    metadata.insert("general.architecture", architecture);
    let plan = Plan::new(metadata, Vec::new()).unwrap();
    let writer = Writer::create(path, plan, WriteOptions::default()).unwrap();
    writer.finish().unwrap();
}

#[test]
fn halves_of_llama_cpp_s_pair_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, expected) in [("clip", "mmproj"), ("llama", "text model")] {
        let path = folder.path().join(format!("{architecture}.gguf"));
        of_architecture(&path, architecture);
        let output = describe(&text(&path), &picture("i0.png"));
        assert_refused(&output, &[expected, "pixtral-quantize"]);
    }
}

#[test]
fn pictures_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    let png = fs::read(picture("i0.png")).unwrap();
    for (path, expected) in [
        (text(&folder.path().join("none.png")), "no such file"),
        (text(folder.path()), "folder"),
        (file("notes.png", b"remember the milk\n"), "PNG"),
        (file("empty.png", b""), "empty"),
        (file("half.png", &png[..png.len() / 2]), "half.png"),
        (file("huge.png", &huge_png()), "60000"),
    ] {
        let output = describe(&text(&MODEL), &path);
        assert_refused(&output, &[&path, expected]);
    }
}

/// The beginning of a PNG of 60000×60000 pixels, with correct checksums.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        png.extend((data.len() as u32).to_be_bytes());
        let body = [kind, data].concat();
        png.extend(&body);
        png.extend(crc32fast::hash(&body).to_be_bytes());
    };
    let side = 60_000u32.to_be_bytes();
    chunk(b"IHDR", &[&side[..], &side, &[8, 2, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    chunk(b"IEND", b"");
    png
}

#[test]
#[cfg(unix)]
fn files_without_permission_are_named() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = folder.path().join("secret.gguf");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let program = folder.path().join("pixtral");
    // By another process: what this one has open for writing is open in every child that another
    // test is just starting too, and a program that is open for writing cannot be run (ETXTBSY).
    let copied = Command::new("cp")
        .args([Path::new(env!("CARGO_BIN_EXE_pixtral")), &program])
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(program);
    command
        .args(["inspect", &text(&secret)])
        .current_dir(folder.path());
    // The superuser may read everything: be somebody else.
    if fs::read(&secret).is_ok() {
        command.uid(65534);
    }
    assert_refused(
        &command.output().unwrap(),
        &["secret.gguf", "no permission"],
    );
}

#[test]
fn usage_errors_end_with_code_2() {
    let model = text(&MODEL);
    for args in [
        &[][..],
        &["paint"],
        &["describe"],
        &["describe", &model],
        &["describe", &model, "x.png", "--max-tokens", "many"],
        &["describe", &model, "x.png", "--kv-type", "q3"],
        &["bench", &model, "--image", "64"],
        &["tokenize", &model, "x", "--count", "--json"],
        &["describe", &model, "x.png", "--regex", "a", "--json-object"],
    ] {
        let output = run(args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn settings_without_meaning_are_refused() {
    let model = text(&MODEL);
    for (args, expected) in [
        (&["--temperature", "-1"][..], "temperature is -1"),
        (&["--top-p", "0"], "top_p is 0"),
        (&["--ctx", "4000000"], "a context of 4000000 tokens"),
        (&["--threads", "100000"], "100000 threads"),
    ] {
        let image = picture("i0.png");
        let args = [&["describe", &model, &image][..], args].concat();
        assert_refused(&run(&args), &[expected]);
    }
    let output = run(&["tokenize", &model, "--decode", "1 99999999"]);
    assert_refused(&output, &["\"99999999\" is not a token id"]);
}
