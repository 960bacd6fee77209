//! The graphics protocol of kitty, which ghostty and others share: a PNG in base64, in chunks
//! (sw.kovidgoyal.net/kitty/graphics-protocol).

use super::{Cells, png};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::RgbImage;
use std::io::{self, Write};

/// Most bytes of base64 in one chunk.
const CHUNK: usize = 4096;

/// Draws `image` as wide as `cells`.
pub fn draw(image: &RgbImage, cells: Cells, out: &mut impl Write) -> io::Result<()> {
    let encoded = STANDARD.encode(png(image, cells)?);
    let mut chunks = encoded.as_bytes().chunks(CHUNK).peekable();
    // a=T: transmit and show. f=100: PNG. q=2: do not answer. The terminal, which knows the size
    // of its cells, finds the rows for the columns.
    let mut keys = format!("a=T,f=100,q=2,c={},", cells.columns);
    while let Some(chunk) = chunks.next() {
        let more = u8::from(chunks.peek().is_some());
        write!(out, "\x1b_G{keys}m={more};")?;
        out.write_all(chunk)?;
        write!(out, "\x1b\\")?;
        keys.clear();
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_chunks_hold_the_picture() {
        // Noise, which PNG cannot make small.
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24;
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([noise(x, y) as u8, x as u8, y as u8]));
        let mut out = Vec::new();
        draw(
            &image,
            Cells {
                columns: 10,
                rows: 5,
            },
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        let commands: Vec<&str> = text.trim_end().split_terminator("\x1b\\").collect();
        assert!(commands.len() > 1, "{} commands", commands.len());
        let mut encoded = String::new();
        for (i, command) in commands.iter().enumerate() {
            let (keys, data) = command
                .strip_prefix("\x1b_G")
                .unwrap()
                .split_once(';')
                .unwrap();
            let more = u8::from(i + 1 < commands.len());
            match i {
                0 => assert_eq!(keys, format!("a=T,f=100,q=2,c=10,m={more}")),
                _ => assert_eq!(keys, format!("m={more}")),
            }
            assert!(data.len() <= CHUNK);
            encoded += data;
        }
        let png = STANDARD.decode(encoded).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().to_rgb8(), image);
    }
}
