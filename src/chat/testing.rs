//! What the tests of this module share: a template over bytes, and prompts as readable text.

use super::{ChatRequest, ChatTemplate, Prompt};
use crate::{
    Result,
    config::{Config, VisionConfig},
    preprocess::{Patches, PreparedImage},
    tokenizer::Tokenizer,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// A tokenizer with tekken's special tokens whose ordinary tokens are the 256 bytes and runs of
/// two and three line feeds.
pub(super) fn tokenizer() -> Tokenizer {
    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer_with(&json!(null)));
    TOKENIZER.clone()
}

/// The same with the listed special tokens.
pub(super) fn tokenizer_with(special_tokens: &Value) -> Tokenizer {
    let bytes = (0..=255u8).map(|byte| vec![byte]);
    let tokens = bytes.chain([b"\n\n".to_vec(), b"\n\n\n".to_vec()]);
    let vocab: Vec<Value> = (0..)
        .zip(tokens)
        .map(|(rank, token): (u32, _)| json!({"rank": rank, "token_bytes": STANDARD.encode(token)}))
        .collect();
    let file = json!({
        "config": {
            "pattern": r"\S+|\s+",
            "default_vocab_size": 20 + vocab.len(),
            "default_num_special_tokens": 20,
            "version": "v3",
        },
        "vocab": vocab,
        "special_tokens": special_tokens,
    });
    Tokenizer::from_tekken("tekken.json", file.to_string().as_bytes()).unwrap()
}

pub(super) fn vision() -> VisionConfig {
    Config::pixtral_12b().vision
}

pub(super) fn template() -> ChatTemplate {
    ChatTemplate::new(&tokenizer(), &vision()).unwrap()
}

/// A picture of `rows` × `cols` patches of one pixel.
pub(super) fn image(rows: u32, cols: u32) -> Arc<PreparedImage> {
    Arc::new(PreparedImage {
        pixels: vec![0.0; 3 * (rows * cols) as usize],
        width: cols,
        height: rows,
        grid: Patches { rows, cols },
    })
}

/// Encodes; the URL of a picture is its grid, as in `2x3`, or anything else for one patch.
pub(super) fn encode(request: &ChatRequest) -> Result<Prompt> {
    template().encode(request, &mut |url| {
        let grid = url
            .split_once('x')
            .and_then(|(rows, cols)| Some((rows.parse().ok()?, cols.parse().ok()?)));
        let (rows, cols) = grid.unwrap_or((1, 1));
        Ok(image(rows, cols))
    })
}

/// The prompt as text, special tokens by name.
pub(super) fn render(request: &ChatRequest) -> String {
    tokenizer().decode_with_special(&encode(request).unwrap().ids)
}
