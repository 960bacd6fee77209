//! Nothing is done twice across restarts: saved conversations and kept picture embeddings.

use super::support::{Asker, Mode, Question, USUAL, model, questions};
use pixtral::{
    ErrorKind, Result,
    chat::Message,
    runtime::KvType,
    session::{Event, Reading, Session, SessionOptions},
};
use proptest::prelude::*;
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{Barrier, LazyLock},
};
use xxhash_rust::xxh3::xxh3_64;

/// A question with a picture and a second turn.
fn two_turns() -> Question {
    let followup = |q: &Question| q.turns.len() > 1 && !q.pictures.is_empty();
    let mut all = questions(&["followup"], 1).into_iter();
    all.find(followup).expect("a question of two turns")
}

fn read(asker: &Asker, session: &mut Session, messages: &[Message]) -> Reading {
    let mut silent = |_: Event| ControlFlow::Continue(());
    session.read(&asker.prompt(messages), &mut silent).unwrap()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|l| l.to_bits()).collect()
}

#[test]
fn a_restored_conversation_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.session");
    let model = model("q8_0");
    let question = two_turns();
    for kv_type in [KvType::F32, KvType::F16, KvType::Q8_0] {
        let asker = Asker::new(&model, Mode { kv_type, ..USUAL });
        let mut session = asker.session();
        let mut messages = vec![asker.message(&question, 0)];
        let answer = asker.answer(&mut session, &messages);
        session.save(&path, b"a note").unwrap();

        messages.push(Message::assistant(answer));
        messages.push(asker.message(&question, 1));
        let expected = read(&asker, &mut session, &messages);

        let mut restored = asker.session();
        assert_eq!(restored.restore(&path).unwrap(), b"a note");
        let found = read(&asker, &mut restored, &messages);
        assert!(found.n_reused > 0);
        assert_eq!((found.n_images, found.n_encoded), (1, 0));
        assert_eq!(found.n_reused, expected.n_reused);
        assert_eq!(bits(restored.logits()), bits(session.logits()), "{kv_type}");
        assert_eq!(
            asker.answer(&mut restored, &messages),
            asker.answer(&mut session, &messages)
        );
    }
}

#[test]
fn an_empty_conversation_and_one_over_another_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
    let asker = Asker::new(&model("q8_0"), USUAL);
    let mut session = asker.session();
    session.save(&empty, b"").unwrap();
    read(&asker, &mut session, &[Message::user(["Hello"])]);
    let n_tokens = session.len();
    session.save(&full, b"").unwrap();

    session.restore(&empty).unwrap();
    assert!(session.is_empty() && session.logits().is_empty());
    session.restore(&full).unwrap();
    assert_eq!(session.len(), n_tokens);
}

/// A session of `asker` after a refused restoration must be as before.
#[track_caller]
fn assert_refused(session: &mut Session, path: &Path, kind: ErrorKind, expected: &str) {
    let n_tokens = session.len();
    let e = session.restore(path).unwrap_err();
    assert_eq!(e.kind(), kind, "{e}");
    assert!(e.message().contains(expected), "{e}");
    assert!(e.message().starts_with(&path.display().to_string()), "{e}");
    assert_eq!(session.len(), n_tokens);
}

#[test]
fn what_does_not_fit_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.session");
    let model_a = model("q8_0");
    let asker = Asker::new(&model_a, USUAL);
    let mut session = asker.session();
    read(&asker, &mut session, &[Message::user(["Hello"])]);
    session.save(&path, b"").unwrap();
    let before = fs::read(&path).unwrap();

    let mut other = Asker::new(&model("q4_k"), USUAL).session();
    assert_refused(
        &mut other,
        &path,
        ErrorKind::InvalidArgument,
        "another model",
    );

    let kv_type = KvType::Q8_0;
    let mut other = Asker::new(&model_a, Mode { kv_type, ..USUAL }).session();
    let sentence = "a cache of type f16 and cannot go on in one of q8_0";
    assert_refused(&mut other, &path, ErrorKind::InvalidArgument, sentence);

    let options = SessionOptions {
        n_ctx: Some(session.len() - 1),
        ..SessionOptions::default()
    };
    let mut small = Session::new(model_a, options).unwrap();
    assert_refused(&mut small, &path, ErrorKind::ContextFull, "larger context");

    assert_refused(
        &mut session,
        &folder.path().join("none"),
        ErrorKind::NotFound,
        "no such file",
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A small conversation's file, and a session to restore it in.
struct Saved {
    bytes: Vec<u8>,
    asker: Asker,
}

static SAVED: LazyLock<Saved> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.session");
    let asker = Asker::new(&model("q8_0"), USUAL);
    let mut session = asker.session();
    read(&asker, &mut session, &[Message::user(["Hi"])]);
    session.save(&path, b"note").unwrap();
    Saved {
        bytes: fs::read(&path).unwrap(),
        asker,
    }
});

/// What restoring a file of `bytes` gives.
fn restore(session: &mut Session, folder: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let path = folder.join("damaged");
    fs::write(&path, bytes).unwrap();
    session.restore(&path)
}

#[test]
fn every_truncation_and_changed_bytes_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let Saved { bytes, asker } = &*SAVED;
    let mut session = asker.session();
    restore(&mut session, folder.path(), bytes).unwrap();
    // All of what is parsed; keys and values are guarded by the checksum alone.
    let places = || (0..600).chain((600..bytes.len()).step_by(997));
    for end in places() {
        let e = restore(&mut session, folder.path(), &bytes[..end]).unwrap_err();
        let expected = [ErrorKind::InvalidFile, ErrorKind::ChecksumMismatch];
        assert!(expected.contains(&e.kind()), "cut at {end}: {e}");
    }
    for at in places() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert!(
            restore(&mut session, folder.path(), &changed).is_err(),
            "byte {at}"
        );
    }
    assert!(!session.is_empty(), "a refusal changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Files with a right checksum, as nobody but an attacker makes them.
    #[test]
    fn forged_files_never_panic(
        changes in prop::collection::vec((0usize..80, any::<u8>()), 0..4),
        cut in prop::option::of(0usize..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let Saved { bytes, asker } = &*SAVED;
        let mut forged = bytes[..bytes.len() - 8].to_vec();
        if let Some(cut) = cut {
            forged.truncate(cut);
        }
        for (at, new) in changes {
            if let Some(byte) = forged.get_mut(at) {
                *byte = new;
            }
        }
        let checksum = xxh3_64(&forged).max(1);
        forged.extend(checksum.to_le_bytes());
        let mut session = asker.session();
        if restore(&mut session, folder.path(), &forged).is_ok() {
            read(asker, &mut session, &[Message::user(["Hi"])]);
        }
    }
}

fn with_cache(asker: &Asker, folder: &Path) -> Session {
    asker.session_with(|options| options.image_cache_dir = Some(folder.to_owned()))
}

fn encoded(asker: &Asker, folder: &Path, messages: &[Message]) -> (usize, Vec<u32>) {
    let mut session = with_cache(asker, folder);
    let reading = read(asker, &mut session, messages);
    (reading.n_encoded, bits(session.logits()))
}

#[test]
fn a_picture_is_encoded_once_for_all_sessions_that_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let asker = Asker::new(&model("q8_0"), USUAL);
    let messages = [asker.message(&two_turns(), 0)];
    let (n_encoded, expected) = encoded(&asker, folder.path(), &messages);
    assert_eq!(n_encoded, 1);
    assert_eq!(
        encoded(&asker, folder.path(), &messages),
        (0, expected.clone())
    );

    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(
        encoded(&asker, folder.path(), &messages),
        (1, expected.clone())
    );
    assert_eq!(encoded(&asker, folder.path(), &messages), (0, expected));

    let other = Asker::new(&model("f32"), USUAL);
    assert_eq!(encoded(&other, folder.path(), &messages).0, 1);
}

#[test]
fn types_of_the_decoder_do_not_matter_to_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let messages = |asker: &Asker| [asker.message(&two_turns(), 0)];
    // Both have a vision tower of q8_0.
    for (recipe, n_encoded) in [("q8_0", 1), ("q5_0", 0)] {
        let asker = Asker::new(&model(recipe), USUAL);
        assert_eq!(
            encoded(&asker, folder.path(), &messages(&asker)).0,
            n_encoded,
            "{recipe}"
        );
    }
}

#[test]
fn sessions_at_the_same_time_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let asker = Asker::new(&model("q8_0"), USUAL);
    let messages = [asker.message(&two_turns(), 0)];
    let expected = {
        let mut session = asker.session();
        read(&asker, &mut session, &messages);
        bits(session.logits())
    };
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..3 {
                    assert_eq!(encoded(&asker, folder.path(), &messages).1, expected);
                }
            });
        }
    });
    assert_eq!(encoded(&asker, folder.path(), &messages), (0, expected));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_no_cache_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let asker = Asker::new(&model("q8_0"), USUAL);
    let messages = [asker.message(&two_turns(), 0)];
    for _ in 0..2 {
        assert_eq!(encoded(&asker, &file.join("beneath it"), &messages).0, 1);
    }
}
