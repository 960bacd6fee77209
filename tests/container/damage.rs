//! Any truncation and any change of a byte gives an error or an equal reading.

use super::support::{bytes_of, read, small_plan};
use pixtral::{ErrorKind, gguf::File};
use proptest::prelude::*;
use std::{ops::ControlFlow, sync::LazyLock};

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| bytes_of(small_plan()));

#[test]
fn every_truncation_is_an_error() {
    for end in 0..WHOLE.len() {
        let result = read(&WHOLE[..end]);
        // Padding behind the last tensor may go.
        match result {
            Ok(reading) => assert_eq!(reading, read(&WHOLE).unwrap(), "cut at {end}"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::InvalidFile, "cut at {end}: {e}"),
        }
    }
}

/// Each byte of the header with each of its bits turned and with extreme values: the reading is an
/// error, or the file is another sound file whose change the checksums find.
#[test]
fn every_changed_byte_is_an_error_or_found_by_verification() {
    let original = read(&WHOLE).unwrap();
    let mut bytes = WHOLE.clone();
    for at in 0..bytes.len() {
        let old = bytes[at];
        let turned = (0..8).map(|bit| old ^ (1 << bit));
        for new in turned.chain([0, 0xFF, 0x7F]).filter(|&new| new != old) {
            bytes[at] = new;
            let Ok(file) = File::from_bytes("x.gguf", &bytes) else {
                continue;
            };
            if read(&bytes).unwrap() == original {
                continue;
            }
            let verified = file.verify(|_, _| ControlFlow::Continue(()));
            assert!(verified.is_err(), "byte {at}: {old} became {new} unnoticed");
        }
        bytes[at] = old;
    }
}

proptest! {
    #[test]
    fn random_bytes_after_the_magic_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&b"GGUF\x03\0\0\0"[..], &tail].concat();
        _ = read(&bytes);
    }

    #[test]
    fn several_changes_at_once_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = WHOLE.clone();
        for (at, new) in changes {
            let at = at.index(bytes.len());
            bytes[at] = new;
        }
        _ = read(&bytes);
    }
}
