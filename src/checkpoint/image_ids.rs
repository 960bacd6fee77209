//! The ids of the three image tokens, where the configuration and the tokenizer both have a say.

use super::fields::Fields;
use crate::Result;
use crate::tokenizer::Tokenizer;

/// A token of pictures: its name in the tokenizer, and its id where neither the configuration nor
/// a tokenizer tells (that of tekken v3, the published model's).
struct ImageToken {
    name: &'static str,
    default: u32,
}

const IMAGE: ImageToken = ImageToken {
    name: "[IMG]",
    default: 10,
};
const BREAK: ImageToken = ImageToken {
    name: "[IMG_BREAK]",
    default: 12,
};
const END: ImageToken = ImageToken {
    name: "[IMG_END]",
    default: 13,
};

/// What a checkpoint's tokenizer, if it has one, says about the image tokens.
#[derive(Default)]
pub(super) struct ImageIds<'a> {
    /// The tokenizer and its file, as sentences name it.
    pub tokenizer: Option<(&'a Tokenizer, &'a str)>,
}

impl ImageIds<'_> {
    /// The id of `[IMG]`: field `key`, or the tokenizer's.
    pub fn image(&self, fields: &mut Fields<'_>, key: &'static str) -> Result<u32> {
        self.resolve(fields, key, &IMAGE)
    }

    /// The id of `[IMG_BREAK]`: field `key`, or the tokenizer's.
    pub fn image_break(&self, fields: &mut Fields<'_>, key: &'static str) -> Result<u32> {
        self.resolve(fields, key, &BREAK)
    }

    /// The id of `[IMG_END]`: field `key`, or the tokenizer's.
    pub fn image_end(&self, fields: &mut Fields<'_>, key: &'static str) -> Result<u32> {
        self.resolve(fields, key, &END)
    }

    /// The configuration's id if it names one, else the tokenizer's, else the published model's.
    /// The first two must agree: a model fed with the wrong id would see no picture.
    fn resolve(
        &self,
        fields: &mut Fields<'_>,
        key: &'static str,
        token: &ImageToken,
    ) -> Result<u32> {
        let stated = fields.opt_u32(key)?;
        let Some((tokenizer, file)) = self.tokenizer else {
            return Ok(stated.unwrap_or(token.default));
        };
        match (stated, tokenizer.special(token.name)) {
            (Some(id), Some(other)) if id != other => {
                let reason = format!("but {file} gives {} the id {other}", token.name);
                Err(fields.contradiction(key, id, &reason))
            }
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(fields.missing(key)),
        }
    }
}
