//! Half blocks: each character shows two pixels, its upper half in the colour of the text and its
//! lower half in that of the background.

use super::{Cells, detect::Colors, scale_down};
use anstyle::{Color, Reset, RgbColor, Style};
use image::{Rgb, RgbImage};
use std::io::{self, Write};

/// Draws `image` on at most `cells`, never larger than one pixel a half block.
pub fn draw(
    image: &RgbImage,
    cells: Cells,
    colors: Colors,
    out: &mut impl Write,
) -> io::Result<()> {
    let image = scale_down(image, cells.columns, 2 * cells.rows);
    for y in (0..image.height()).step_by(2) {
        let mut last = None;
        for x in 0..image.width() {
            let mut style = Style::new().fg_color(Some(color(image.get_pixel(x, y), colors)));
            // The last row of an odd number has no lower half.
            if let Some(below) = image.get_pixel_checked(x, y + 1) {
                style = style.bg_color(Some(color(below, colors)));
            }
            if last != Some(style) {
                write!(out, "{style}")?;
                last = Some(style);
            }
            write!(out, "▀")?;
        }
        writeln!(out, "{Reset}")?;
    }
    Ok(())
}

fn color(&Rgb([r, g, b]): &Rgb<u8>, colors: Colors) -> Color {
    let rgb = RgbColor(r, g, b);
    match colors {
        Colors::True => rgb.into(),
        Colors::Xterm256 => anstyle_lossy::rgb_to_xterm(rgb).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(pixels: &[[u8; 3]], width: u32, colors: Colors) -> String {
        let image = RgbImage::from_fn(width, pixels.len() as u32 / width, |x, y| {
            Rgb(pixels[(y * width + x) as usize])
        });
        let mut out = Vec::new();
        let cells = Cells {
            columns: 60,
            rows: 20,
        };
        draw(&image, cells, colors, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const RED: [u8; 3] = [255, 0, 0];
    const BLUE: [u8; 3] = [0, 0, 255];

    #[test]
    fn each_character_shows_two_pixels() {
        assert_eq!(
            drawn(&[RED, RED, BLUE, BLUE], 2, Colors::True),
            "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀▀\x1b[0m\n"
        );
        assert_eq!(
            drawn(&[RED, BLUE], 1, Colors::Xterm256),
            "\x1b[38;5;196m\x1b[48;5;21m▀\x1b[0m\n"
        );
    }

    #[test]
    fn an_odd_last_row_leaves_the_background_alone() {
        assert_eq!(
            drawn(&[RED, BLUE, RED], 1, Colors::True),
            "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[0m\n\x1b[38;2;255;0;0m▀\x1b[0m\n"
        );
    }

    #[test]
    fn large_pictures_are_scaled_down() {
        let text = drawn(&[RED; 200 * 100], 200, Colors::True);
        assert_eq!(text.lines().count(), 15);
        assert_eq!(text.matches('▀').count(), 15 * 60);
    }
}
