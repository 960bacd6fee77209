//! However a file is loaded, it is the same model.

use super::{LoadMode, LoadOptions, ReadAhead};
use crate::{
    ErrorKind,
    ggml::CancelFlag,
    gguf::File,
    runtime::{Decoder, DecoderOptions, KvType, Model, testing},
};
use std::{ops::ControlFlow, sync::Arc};

#[test]
fn every_mode_gives_the_same_logits_and_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let path = testing::file_in(folder.path());
    let logits = |mode| {
        let options = LoadOptions { mode };
        let mut go_on = |_, _| ControlFlow::Continue(());
        let model = Model::open_with(&path, &options, &mut go_on).unwrap();
        model
            .file()
            .verify(|_, _| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!(model.file().is_mapped(), mode != LoadMode::Copy);
        assert_ne!(model.loading().mode, LoadMode::Auto);
        let options = DecoderOptions {
            n_ctx: 64,
            n_ubatch: 32,
            kv_type: KvType::F32,
            n_threads: 1,
            reserve_bytes: 0,
            n_sequences: 1,
        };
        let mut decoder = Decoder::new(model, &options, CancelFlag::default()).unwrap();
        testing::run(&mut decoder, 32)
    };
    let mapped = logits(LoadMode::Mmap);
    assert!(mapped.iter().any(|&x| x != 0.0));
    assert_eq!(logits(LoadMode::Copy), mapped);
    assert_eq!(logits(LoadMode::Auto), mapped);
}

#[test]
fn copying_can_be_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = testing::file_in(folder.path());
    let options = LoadOptions {
        mode: LoadMode::Copy,
    };
    let e = Model::open_with(&path, &options, &mut |_, _| ControlFlow::Break(()));
    assert_eq!(e.err().unwrap().kind(), ErrorKind::Cancelled);
}

#[test]
fn whoever_waits_for_loading_finds_it_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(File::open(testing::file_in(folder.path())).unwrap());
    let read_ahead = ReadAhead::start(file.clone());
    read_ahead.wait();
    // The thread has given its share of the file back.
    assert_eq!(Arc::strong_count(&file), 1);
    read_ahead.wait();
}
