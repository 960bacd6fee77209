//! What a prompt consists of, token by token, in a form that can be compared with the next one.

use crate::{
    Error, ErrorKind, Result, chat::Prompt, config::VisionConfig, preprocess::PreparedImage,
    tokenizer::TokenId,
};
use xxhash_rust::xxh3::Xxh3;

/// Identity of a prepared picture: a hash of its size and pixels.
pub(super) type ImageId = u128;

/// One position of a sequence. Equal slots at equal positions after equal beginnings have equal
/// keys and values, so a cache of them can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// An ordinary token.
    Token(TokenId),
    /// Patch `row` of a picture.
    Patch { image: ImageId, row: u32 },
}

/// Length of the common beginning of two sequences.
pub(super) fn common_prefix(a: &[Slot], b: &[Slot]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The slots of `prompt`, whose image tokens take its pictures' patches in order, and the
/// identity of each picture.
///
/// Errors if the number of image tokens is not the number of patches.
pub(super) fn slots(prompt: &Prompt, vision: &VisionConfig) -> Result<(Vec<Slot>, Vec<ImageId>)> {
    let ids: Vec<ImageId> = prompt.images.iter().map(|image| image_id(image)).collect();
    let mut patches = prompt.images.iter().zip(&ids).flat_map(|(image, &id)| {
        (0..image.grid.rows * image.grid.cols).map(move |row| Slot::Patch { image: id, row })
    });
    let slots = prompt
        .ids
        .iter()
        .map(|&id| match id == vision.image_token_id {
            true => patches.next().ok_or_else(unmatched),
            false => Ok(Slot::Token(id)),
        })
        .collect::<Result<_>>()?;
    match patches.next() {
        Some(_) => Err(unmatched()),
        None => Ok((slots, ids)),
    }
}

fn unmatched() -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        "the prompt's image tokens do not match the patches of its pictures",
    )
}

/// The identity of `image`.
pub(super) fn image_id(image: &PreparedImage) -> ImageId {
    let mut hash = Xxh3::new();
    hash.update(&image.width.to_le_bytes());
    hash.update(&image.height.to_le_bytes());
    for value in &image.pixels {
        hash.update(&value.to_le_bytes());
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, preprocess::Patches};
    use std::sync::Arc;

    fn image(shade: f32) -> Arc<PreparedImage> {
        Arc::new(PreparedImage {
            pixels: vec![shade; 3 * 16 * 32],
            width: 32,
            height: 16,
            grid: Patches { rows: 1, cols: 2 },
        })
    }

    #[test]
    fn the_same_ids_with_another_picture_differ_from_its_first_patch_on() {
        let vision = Config::pixtral_12b().vision;
        let prompt = |shade| Prompt {
            ids: vec![1, 3, 10, 10, 13, 4],
            images: vec![image(shade)],
        };
        let (a, _) = slots(&prompt(0.0), &vision).unwrap();
        let (b, _) = slots(&prompt(1.0), &vision).unwrap();
        assert_eq!(common_prefix(&a, &a), 6);
        assert_eq!(common_prefix(&a, &b), 2);
    }

    #[test]
    fn image_tokens_without_a_patch_and_patches_without_a_token_are_refused() {
        let vision = Config::pixtral_12b().vision;
        for ids in [vec![10], vec![10, 10, 10]] {
            assert!(
                slots(
                    &Prompt {
                        ids,
                        images: vec![image(0.0)]
                    },
                    &vision
                )
                .is_err()
            );
        }
    }
}
