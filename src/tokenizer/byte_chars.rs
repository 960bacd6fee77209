//! GPT-2's way to write any bytes as printable text: one character for each byte.
//!
//! Bytes that are printable in Latin-1 stand for themselves; the other 68 are given the
//! characters from U+0100 on, in order. Hugging Face's and GGUF's vocabularies are written so.

/// First character for the bytes that do not stand for themselves.
const SHIFTED: u32 = 0x100;

/// Whether GPT-2 writes the byte as the character of the same number.
const fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Bytes that do not stand for themselves, in order: `SHIFTED + i` is written for `OTHERS[i]`.
const OTHERS: [u8; 68] = {
    let mut others = [0; 68];
    let (mut byte, mut n) = (0, 0);
    while byte < 256 {
        if !stands_for_itself(byte as u8) {
            others[n] = byte as u8;
            n += 1;
        }
        byte += 1;
    }
    others
};

/// `bytes` as text.
pub(super) fn to_text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| to_char(byte)).collect()
}

fn to_char(byte: u8) -> char {
    match OTHERS.binary_search(&byte) {
        Ok(i) => char::from_u32(SHIFTED + i as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        Err(_) => char::from(byte),
    }
}

/// Replaces the content of `bytes` by what `text` stands for; `None` if it holds a character that
/// stands for no byte.
pub(super) fn to_bytes(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    bytes.clear();
    for c in text.chars() {
        let byte = match u8::try_from(c) {
            Ok(byte) => stands_for_itself(byte).then_some(byte),
            Err(_) => u32::from(c)
                .checked_sub(SHIFTED)
                .and_then(|i| OTHERS.get(i as usize).copied()),
        };
        bytes.push(byte?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = to_text(&all);
        assert_eq!(text.chars().count(), 256);
        let mut back = Vec::new();
        to_bytes(&text, &mut back).unwrap();
        assert_eq!(back, all);
        assert_eq!(to_text(b"\n a\xad"), "ĊĠaŃ");
    }

    #[test]
    fn characters_that_stand_for_no_byte_are_refused() {
        for text in ["a b", "\u{144}", "\u{ad}", "中"] {
            assert!(to_bytes(text, &mut Vec::new()).is_none(), "{text:?}");
        }
    }
}
