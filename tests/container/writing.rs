//! Writing: nothing under the final name before it is complete, resuming, refusing to replace.

use super::support::{content, plan, small_plan, write};
use pixtral::{
    ErrorKind,
    gguf::{File, Metadata, TensorType, WriteOptions, Writer, partial_path},
};
use std::fs;

const RESUME: WriteOptions = WriteOptions {
    overwrite: false,
    resume: true,
};

#[test]
fn an_abandoned_file_is_resumed_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.gguf");
    write(&whole, small_plan());

    let path = folder.path().join("x.gguf");
    let plan = small_plan();
    let mut writer = Writer::create(&path, plan.clone(), RESUME).unwrap();
    writer.write(&content(&plan, 0)).unwrap();
    writer.write(&content(&plan, 1)[..10]).unwrap();
    drop(writer);
    assert!(!path.exists() && partial_path(&path).exists());

    let mut writer = Writer::create(&path, plan.clone(), RESUME).unwrap();
    assert_eq!(writer.resumed(), 1);
    for index in 1..3 {
        writer.write(&content(&plan, index)).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&whole).unwrap());
    assert!(!partial_path(&path).exists());
}

#[test]
fn resuming_trusts_checksums_and_not_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    let plan = small_plan();
    let mut writer = Writer::create(&path, plan.clone(), RESUME).unwrap();
    writer.write(&content(&plan, 0)).unwrap();
    writer.write(&content(&plan, 1)).unwrap();
    drop(writer);
    let mut bytes = fs::read(partial_path(&path)).unwrap();
    bytes[plan.places()[0].offset as usize] ^= 1;
    fs::write(partial_path(&path), bytes).unwrap();
    let writer = Writer::create(&path, plan, RESUME).unwrap();
    assert_eq!(writer.resumed(), 0);
}

#[test]
fn an_unfinished_file_of_another_plan_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    drop(Writer::create(&path, small_plan(), RESUME).unwrap());
    let other = plan(Metadata::new(), &[("t", TensorType::F32, &[8])]);
    let e = Writer::create(&path, other, RESUME).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    assert!(e.message().contains("another checkpoint"), "{e}");
}

#[test]
fn a_finished_file_is_replaced_only_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    fs::write(&path, "precious").unwrap();
    let e = Writer::create(&path, small_plan(), WriteOptions::default()).unwrap_err();
    assert!(e.message().contains("exists already"), "{e}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let e = Writer::create(folder.path(), small_plan(), RESUME).unwrap_err();
    assert!(e.message().contains("is a folder"), "{e}");

    let plan = small_plan();
    let options = WriteOptions {
        overwrite: true,
        resume: false,
    };
    let mut writer = Writer::create(&path, plan.clone(), options).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    for index in 0..3 {
        writer.write(&content(&plan, index)).unwrap();
    }
    writer.finish().unwrap();
    File::open(&path).unwrap();
}

#[test]
fn an_incomplete_file_cannot_be_finished_nor_overfilled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    let plan = small_plan();
    let mut writer = Writer::create(&path, plan.clone(), RESUME).unwrap();
    let e = writer.write(&[0; 1000]).unwrap_err();
    assert!(e.message().contains("1000 bytes for tensor first"), "{e}");
    let e = writer.finish().unwrap_err();
    assert!(e.message().contains("tensor first"), "{e}");
    assert!(!path.exists());
}

#[test]
fn the_fingerprint_changes_with_any_weight_and_needs_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let fingerprint = |change: u8| {
        let (path, plan) = (folder.path().join(change.to_string()), small_plan());
        let contents: Vec<_> = (0..3).map(|index| content(&plan, index)).collect();
        let mut writer = Writer::create(&path, plan, WriteOptions::default()).unwrap();
        for mut bytes in contents {
            bytes[0] ^= change;
            writer.write(&bytes).unwrap();
        }
        writer.finish().unwrap();
        File::open(&path).unwrap().fingerprint()
    };
    assert!(fingerprint(0).is_some());
    assert_ne!(fingerprint(2), fingerprint(1));

    let bare = [&b"GGUF\x03\0\0\0"[..], &[0; 16]].concat();
    assert_eq!(
        File::from_bytes("x.gguf", bare).unwrap().fingerprint(),
        None
    );
}
