//! `pixtral tokenize`: text to token ids and back.

use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    config::Config,
    gguf::File,
    tokenizer::{TokenId, Tokenizer},
};
use pixtral_terminal::{Table, out, outln};
use serde_json::json;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Show how text becomes tokens, or tokens text
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pixtral tokenize model.gguf 'How many cats?'
  pixtral tokenize model.gguf < letter.txt
  pixtral tokenize model.gguf --decode '1 3 2016'")]
pub struct TokenizeArgs {
    /// Model file (GGUF), or a tekken.json
    model: PathBuf,
    /// The text; standard input if absent
    text: Option<String>,
    /// Take ids, separated by spaces or commas, and print their text
    #[arg(long)]
    decode: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print the number of tokens only
    #[arg(long, conflicts_with_all = ["decode", "json"])]
    count: bool,
}

/// Runs the command.
pub fn run(args: &TokenizeArgs) -> Result<()> {
    let tokenizer = open(&args.model)?;
    let input = match &args.text {
        Some(text) => text.clone(),
        None => read_stdin()?,
    };
    match args.decode {
        true => decode(args, &tokenizer, &input),
        false => encode(args, &tokenizer, &input),
    }
    .map_err(|e| e.context("tokenize"))
}

fn open(path: &Path) -> Result<Tokenizer> {
    if path.extension().is_some_and(|ext| ext == "json") {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        return Tokenizer::from_tekken(&path.display().to_string(), &bytes);
    }
    let file = File::open(path)?;
    // A file of another model is refused with the reason, not for want of a tokenizer.
    Config::from_metadata(file.metadata())
        .and_then(|_| Tokenizer::from_metadata(file.metadata()))
        .map_err(|e| e.context(path.display()))
}

fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("standard input", "read", e))?;
    String::from_utf8(bytes).map_err(|e| {
        Error::new(
            ErrorKind::InvalidUtf8,
            format!(
                "the text is not UTF-8 from byte {} on",
                e.utf8_error().valid_up_to()
            ),
        )
    })
}

fn encode(args: &TokenizeArgs, tokenizer: &Tokenizer, text: &str) -> Result<()> {
    let ids = tokenizer.encode(text);
    if args.count {
        return outln!("{}", ids.len());
    }
    let pieces: Vec<String> = ids.iter().map(|&id| piece(tokenizer, id)).collect();
    if args.json {
        return outln!(
            "{}",
            json!({"count": ids.len(), "ids": ids, "pieces": pieces})
        );
    }
    let mut table = Table::new(&[">id", "piece"]);
    for (id, piece) in ids.iter().zip(pieces) {
        table.row(vec![id.to_string(), format!("{piece:?}")]);
    }
    out!("{table}")?;
    outln!("{} tokens", ids.len())
}

/// A token's own bytes as text, broken characters as U+FFFD.
fn piece(tokenizer: &Tokenizer, id: TokenId) -> String {
    String::from_utf8_lossy(tokenizer.token_bytes(id).unwrap_or_default()).into_owned()
}

fn decode(args: &TokenizeArgs, tokenizer: &Tokenizer, text: &str) -> Result<()> {
    let ids = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse::<TokenId>() {
            Ok(id) if id < tokenizer.vocab_size() => Ok(id),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{word:?} is not a token id from 0 to {}",
                    tokenizer.vocab_size() - 1
                ),
            )),
        })
        .collect::<Result<Vec<_>>>()?;
    let text = tokenizer.decode_with_special(&ids);
    match args.json {
        true => outln!("{}", json!({"count": ids.len(), "ids": ids, "text": text})),
        false => outln!("{text}"),
    }
}
