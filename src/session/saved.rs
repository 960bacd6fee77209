//! Conversations in files, so that a later run goes on without reading again. `docs/FORMAT.md`
//! describes the file.

use super::{
    Session,
    history::{ImageId, Slot},
    sealed::{Format, Sealed, SealedWriter},
};
use crate::{Error, ErrorKind, Result, gguf::Cursor, runtime::KvType};
use std::path::Path;

const FORMAT: Format = Format {
    magic: *b"PIXTSESN",
    version: 1,
    name: "a session file",
};

/// Number of a cache type in files: ggml's.
fn kv_number(kv_type: KvType) -> u32 {
    match kv_type {
        KvType::F32 => 0,
        KvType::F16 => 1,
        KvType::Q8_0 => 8,
    }
}

impl Session {
    /// Writes what the conversation has read and generated, with its keys and values, to the file
    /// `path`, which is replaced in one step: 160 KiB a token for Pixtral-12B and a cache of f16.
    /// `note` is kept with it for the caller, such as the messages as text.
    ///
    /// Errors if the file cannot be written, or if the model's file has no checksums to know it by.
    pub fn save(&self, path: impl AsRef<Path>, note: &[u8]) -> Result<()> {
        let mut file = SealedWriter::create(path.as_ref(), &FORMAT)?;
        file.put(&self.model_identity()?.to_le_bytes())?;
        file.put(&kv_number(self.options.kv_type).to_le_bytes())?;
        file.put(&(note.len() as u64).to_le_bytes())?;
        file.put(note)?;
        file.put(&encode_slots(&self.history))?;
        // The decoder may be ahead of the history, which ends where a kept answer was left.
        self.decoder
            .export_cache(self.history.len(), &mut |bytes| file.put(bytes))?;
        file.finish()
    }

    /// Makes the conversation be the one in the file `path`, as [`save`](Self::save) wrote it, and
    /// returns the note. A prompt that begins with it is then read from where it ends, to the same
    /// bits as if the conversation had never been left.
    ///
    /// Errors, leaving the conversation as it was, if the file cannot be read, is damaged, or is of
    /// another model or cache type; with `ContextFull` if it is longer than the context.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = Sealed::open(path, &FORMAT)?;
        self.restore_from(file.body())
            .map_err(|e| e.context(path.display()))
    }

    fn restore_from(&mut self, mut body: Cursor) -> Result<Vec<u8>> {
        if body.array("model's identity")? != self.model_identity()?.to_le_bytes() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "was saved with another model: use that model or choose another file",
            ));
        }
        self.check_kv_type(body.u32("cache type")?)?;
        let n_note = body.u64("note's length")?;
        let note = body.take(n_note, "note")?.to_vec();
        let slots = decode_slots(&mut body, self.n_ctx())?;
        let text = &self.model.config().text;
        let cells = body.rest();
        let needed = slots.len() as u64 * self.options.kv_type.bytes_per_token(text);
        if cells.len() as u64 != needed {
            return Err(invalid(format!(
                "has {} bytes of keys and values for {} tokens, expected {needed}",
                cells.len(),
                slots.len()
            )));
        }
        self.forget_from(0);
        self.decoder.import_cache(slots.len(), cells)?;
        self.history = slots;
        Ok(note)
    }

    fn model_identity(&self) -> Result<u128> {
        let file = self.model.file();
        file.fingerprint().ok_or_else(|| {
            Error::new(
                ErrorKind::UnsupportedModel,
                format!(
                    "{}: has no checksums, so a conversation with it cannot be told from one with \
                     another model; convert the checkpoint with pixtral-quantize",
                    file.path().display()
                ),
            )
        })
    }

    fn check_kv_type(&self, number: u32) -> Result<()> {
        let mine = self.options.kv_type;
        if number == kv_number(mine) {
            return Ok(());
        }
        let types = [KvType::F32, KvType::F16, KvType::Q8_0];
        Err(match types.iter().find(|ty| kv_number(**ty) == number) {
            Some(other) => Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "was saved with a cache of type {other} and cannot go on in one of {mine}: set \
                     the cache type to {other} or choose another file"
                ),
            ),
            None => invalid(format!("has a cache of an unknown type {number}")),
        })
    }
}

/// Pictures, then slots: their numbers and identities, then two numbers a slot, of which the first
/// is 0 and the second a token, or the first counts the pictures from 1 and the second is a patch.
fn encode_slots(history: &[Slot]) -> Vec<u8> {
    let mut images: Vec<ImageId> = Vec::new();
    let mut slots = Vec::with_capacity(8 * history.len());
    for slot in history {
        let (what, number) = match *slot {
            Slot::Token(id) => (0, id),
            Slot::Patch { image, row } => {
                let known = images.iter().rposition(|&known| known == image);
                let index = known.unwrap_or_else(|| {
                    images.push(image);
                    images.len() - 1
                });
                (index as u32 + 1, row)
            }
        };
        slots.extend(what.to_le_bytes());
        slots.extend(number.to_le_bytes());
    }
    let mut out = Vec::with_capacity(16 + 16 * images.len() + slots.len());
    out.extend((images.len() as u64).to_le_bytes());
    out.extend((history.len() as u64).to_le_bytes());
    out.extend(images.iter().flat_map(|image| image.to_le_bytes()));
    out.extend(slots);
    out
}

/// The counterpart of [`encode_slots`]; no more than `n_ctx` slots are accepted.
fn decode_slots(body: &mut Cursor, n_ctx: usize) -> Result<Vec<Slot>> {
    let n_images = body.u64("number of pictures")?;
    let n_slots = body.u64("number of tokens")?;
    if n_slots > n_ctx as u64 {
        return Err(Error::new(
            ErrorKind::ContextFull,
            format!(
                "holds a conversation of {n_slots} tokens but the context holds {n_ctx}: use a \
                 larger context"
            ),
        ));
    }
    let images = body.take(n_images.saturating_mul(16), "list of pictures")?;
    let images = images.as_chunks().0;
    let slots = body.take(8 * n_slots, "list of tokens")?;
    let numbers = |bytes: &[u8; 8]| {
        let both = u64::from_le_bytes(*bytes);
        (both as u32 as usize, (both >> 32) as u32)
    };
    let slot = |bytes| match numbers(bytes) {
        (0, id) => Ok(Slot::Token(id)),
        (image, row) => match images.get(image - 1) {
            Some(id) => Ok(Slot::Patch {
                image: u128::from_le_bytes(*id),
                row,
            }),
            None => Err(invalid(format!("has no picture {image}"))),
        },
    };
    slots.as_chunks().0.iter().map(slot).collect()
}

fn invalid(what: String) -> Error {
    Error::new(
        ErrorKind::InvalidFile,
        format!("{what}; the file is damaged, delete it to start anew"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8], n_ctx: usize) -> Result<Vec<Slot>> {
        decode_slots(&mut Cursor::over(bytes, ""), n_ctx)
    }

    fn any_slot() -> impl Strategy<Value = Slot> {
        let image = prop::sample::select(vec![0, 1, u128::MAX]);
        prop_oneof![
            any::<u32>().prop_map(Slot::Token),
            (image, any::<u32>()).prop_map(|(image, row)| Slot::Patch { image, row }),
        ]
    }

    proptest! {
        #[test]
        fn slots_come_back_as_they_were(history in prop::collection::vec(any_slot(), 0..40)) {
            let bytes = encode_slots(&history);
            prop_assert_eq!(decode(&bytes, 40).unwrap(), history);
        }

        #[test]
        fn no_bytes_whatever_panic_or_give_more_slots_than_asked(
            head in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 255]), 16),
            tail in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 255]), 0..64),
        ) {
            if let Ok(slots) = decode(&[head, tail].concat(), 3) {
                prop_assert!(slots.len() <= 3);
            }
        }
    }

    #[test]
    fn a_longer_conversation_than_the_context_is_refused_by_that_name() {
        let bytes = encode_slots(&[Slot::Token(1); 4]);
        let e = decode(&bytes, 3).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ContextFull);
    }
}
