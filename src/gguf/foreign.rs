//! What a file is that is not GGUF, so that the refusal can say what to do instead. It looks at
//! the first bytes only and promises nothing about the rest.

use super::cursor::invalid;
use crate::Error;

/// The refusal of a file whose first bytes are not GGUF's.
pub(super) fn refusal(bytes: &[u8]) -> Error {
    let message = if bytes.is_empty() {
        "is empty, expected a GGUF file; download or convert it again"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "is a Git LFS pointer, not the file itself; fetch the file with `git lfs pull`"
    } else if is_safetensors(bytes) {
        "is a safetensors file, not GGUF; convert its folder with pixtral-quantize"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "is a zip archive (PyTorch checkpoints are), not GGUF; convert a safetensors checkpoint with pixtral-quantize"
    } else if [b"lmgg", b"fmgg", b"tjgg", b"algg"]
        .iter()
        .any(|m| bytes.starts_with(*m))
    {
        "is in a ggml format older than GGUF; convert the checkpoint with pixtral-quantize"
    } else if is_html(bytes) {
        "is a web page, not a GGUF file; the download failed, try it again"
    } else if is_text(bytes) {
        "is a text file, not GGUF"
    } else {
        "is not a GGUF file: it does not begin with \"GGUF\""
    };
    invalid(message.to_owned())
}

/// The header's length in 64 bits, then a JSON object.
fn is_safetensors(bytes: &[u8]) -> bool {
    match bytes.split_first_chunk::<8>() {
        Some((length, rest)) => {
            u64::from_le_bytes(*length) <= 100_000_000 && rest.starts_with(b"{\"")
        }
        None => false,
    }
}

fn is_html(bytes: &[u8]) -> bool {
    let head: String = bytes
        .iter()
        .take(64)
        .map(|b| b.to_ascii_lowercase() as char)
        .collect();
    let head = head.trim_start();
    head.starts_with("<!doctype html") || head.starts_with("<html")
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut at 512 may go through a character.
        Err(e) if e.error_len().is_none() && head.len() == 512 => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_named() {
        let mut safetensors = 2u64.to_le_bytes().to_vec();
        safetensors.extend(b"{\"a\":");
        for (bytes, expected) in [
            (&b""[..], "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (&safetensors, "is a safetensors file"),
            (b"PK\x03\x04....", "zip archive"),
            (b"lmgg\x01\0\0\0", "older than GGUF"),
            (b"\n<!DOCTYPE HTML><html>", "web page"),
            (b"{\"dim\": 5120}\n", "text file"),
            ("ä".repeat(400).as_bytes(), "text file"),
            (b"\x7fELF\0\0", "does not begin with"),
        ] {
            let e = refusal(bytes);
            assert!(e.message().contains(expected), "{e}");
        }
    }
}
