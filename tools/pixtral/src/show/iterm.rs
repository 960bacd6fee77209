//! Inline images of iTerm2, which WezTerm shares: a PNG in base64
//! (iterm2.com/documentation-images.html).

use super::{Cells, png};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::RgbImage;
use std::io::{self, Write};

/// Draws `image` as wide as `cells`; the terminal finds the height.
pub fn draw(image: &RgbImage, cells: Cells, out: &mut impl Write) -> io::Result<()> {
    let png = png(image, cells)?;
    writeln!(
        out,
        "\x1b]1337;File=inline=1;size={};width={}:{}\x07",
        png.len(),
        cells.columns,
        STANDARD.encode(&png)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_command_holds_the_picture() {
        let image = RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]));
        let mut out = Vec::new();
        draw(
            &image,
            Cells {
                columns: 9,
                rows: 3,
            },
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, data) = text.split_once(':').unwrap();
        let png = STANDARD
            .decode(data.strip_suffix("\x07\n").unwrap())
            .unwrap();
        assert_eq!(
            head,
            format!("\x1b]1337;File=inline=1;size={};width=9", png.len())
        );
        assert_eq!(image::load_from_memory(&png).unwrap().to_rgb8(), image);
    }
}
