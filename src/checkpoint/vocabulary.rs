//! An invented vocabulary of any size in the form of a tekken.json, so that a model of random
//! weights needs no file.

use crate::{Error, ErrorKind, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Special tokens of tekken v3, named and reserved.
const SPECIAL: u32 = 1000;
/// Those of them that have a name and a use.
const NAMED: u32 = 20;
/// Tokens of one byte.
const BYTES: u32 = 256;

/// The pattern of tekken v3: how text is cut into pieces.
const PATTERN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// A tekken.json of `vocab_size` tokens: special ones, the 256 bytes, then the words of two and
/// more lower-case letters in order. Small vocabularies have fewer reserved special tokens.
pub(super) fn tekken_json(vocab_size: u32) -> Result<Vec<u8>> {
    let special = vocab_size.saturating_sub(BYTES).min(SPECIAL);
    if special < NAMED {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "a vocabulary of {vocab_size} is too small: it needs {NAMED} special tokens and \
                 {BYTES} bytes, {} in all",
                NAMED + BYTES
            ),
        ));
    }
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    let words = (0..).map(word);
    let ordinary = vocab_size - special;
    let vocab: Vec<Value> = (0u32..ordinary)
        .zip(bytes.chain(words))
        .map(|(rank, token)| {
            json!({
                "rank": rank,
                "token_bytes": STANDARD.encode(&token),
                "token_str": String::from_utf8(token).ok(),
            })
        })
        .collect();
    let file = json!({
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": ordinary,
            "default_vocab_size": vocab_size,
            "default_num_special_tokens": special,
            "version": "v3",
        },
        "vocab": vocab,
    });
    Ok(file.to_string().into_bytes())
}

/// The `n`-th word of at least two lower-case letters: aa, ab, …, zz, aaa, …
fn word(n: u64) -> Vec<u8> {
    // Bijective numeration to base 26, where 26 one-letter words come before.
    let mut rest = n + 27;
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(b'a' + (rest % 26) as u8);
        rest /= 26;
    }
    letters.reverse();
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;

    #[test]
    fn words_follow_each_other_without_gaps() {
        let words: Vec<_> = [0, 1, 25, 26, 675, 676].map(word).to_vec();
        let expected = ["aa", "ab", "az", "ba", "zz", "aaa"].map(|w| w.as_bytes().to_vec());
        assert_eq!(words, expected);
    }

    #[test]
    fn any_text_survives_small_and_large_vocabularies() {
        for size in [276, 1000, 3000] {
            let json = tekken_json(size).unwrap();
            let tokenizer = Tokenizer::from_tekken("x", &json).unwrap();
            assert_eq!(tokenizer.vocab_size(), size);
            let text = "hello, World 123 \u{e9}\u{1f600}";
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
            assert_eq!(tokenizer.special("[IMG_END]"), Some(13));
        }
    }
}
