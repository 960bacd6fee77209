//! The tokens that stand for a picture.
//!
//! Knows the three ids and the picture's grid of patches, and nothing of pixels.

use crate::{
    Error, ErrorKind, Result,
    config::VisionConfig,
    preprocess::Patches,
    tokenizer::{TokenId, Tokenizer},
};

/// Ids of the tokens of pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageTokens {
    /// One patch.
    image: TokenId,
    /// After every row of patches but the last.
    row_end: TokenId,
    /// After the last row.
    end: TokenId,
}

impl ImageTokens {
    /// The ids that the model was configured with. They must be special tokens, so that no text
    /// can be mistaken for a picture.
    pub fn new(tokenizer: &Tokenizer, vision: &VisionConfig) -> Result<Self> {
        for (what, id) in [
            ("image_token_id", vision.image_token_id),
            ("image_break_token_id", vision.image_break_token_id),
            ("image_end_token_id", vision.image_end_token_id),
        ] {
            if !tokenizer.is_special(id) {
                return Err(Error::new(
                    ErrorKind::InvalidTokenizer,
                    format!(
                        "{what} is {id}, which is not one of the vocabulary's {} special tokens: \
                         the tokenizer is not this model's",
                        tokenizer.special_count()
                    ),
                ));
            }
        }
        Ok(Self {
            image: vision.image_token_id,
            row_end: vision.image_break_token_id,
            end: vision.image_end_token_id,
        })
    }

    /// Appends the `rows` × (`cols` + 1) ids of a picture.
    pub fn append(&self, grid: Patches, ids: &mut Vec<TokenId>) {
        for row in 1..=grid.rows {
            ids.extend((0..grid.cols).map(|_| self.image));
            ids.push(match row == grid.rows {
                true => self.end,
                false => self.row_end,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat::testing, config::Config};

    #[test]
    fn each_row_ends_with_a_break_and_the_last_with_the_end() {
        let vision = Config::pixtral_12b().vision;
        let tokens = ImageTokens::new(&testing::tokenizer(), &vision).unwrap();
        let ids = |rows, cols| {
            let mut ids = Vec::new();
            tokens.append(Patches { rows, cols }, &mut ids);
            ids
        };
        assert_eq!(ids(1, 1), [10, 13]);
        assert_eq!(ids(2, 3), [10, 10, 10, 12, 10, 10, 10, 13]);
        assert_eq!(ids(3, 1), [10, 12, 10, 12, 10, 13]);
    }

    #[test]
    fn a_token_that_text_could_yield_is_refused() {
        let tokenizer = testing::tokenizer();
        let mut vision = Config::pixtral_12b().vision;
        vision.image_break_token_id = tokenizer.special_count();
        let e = ImageTokens::new(&tokenizer, &vision).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidTokenizer);
        assert!(e.message().contains("image_break_token_id"), "{e}");
    }
}
