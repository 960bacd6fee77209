//! Sixels: bands of six rows of pixels, one colour after another (DEC VT330/VT340 Programmer
//! Reference Manual, volume 2, chapter 14).
//!
//! Colours are a cube of 6×6×6 with the error spread to the neighbours. Choosing a palette for
//! each picture would look better, and needs more dependencies than a preview is worth.

use super::{Cells, scale_down};
use image::{
    GrayImage, Rgb, RgbImage,
    imageops::{self, ColorMap},
};
use std::io::{self, Write};

/// Pixels of a cell: few, so that the picture stays within its cells on any terminal.
const CELL: (u32, u32) = (8, 16);

/// Rows of a band.
const BAND: u32 = 6;

/// Steps of each colour.
const STEPS: u8 = 6;

/// Distance of two steps.
const STEP: u8 = 51;

/// Draws `image` on at most `cells`.
pub fn draw(image: &RgbImage, cells: Cells, out: &mut impl Write) -> io::Result<()> {
    let mut image = scale_down(image, CELL.0 * cells.columns, CELL.1 * cells.rows);
    imageops::dither(&mut image, &Cube);
    let (width, height) = image.dimensions();
    // P2 = 1: pixels that are not set keep their colour. Then the raster: square pixels, the size.
    write!(out, "\x1bP0;1q\"1;1;{width};{height}")?;
    let image = imageops::index_colors(&image, &Cube);
    let mut palette = image.as_raw().clone();
    palette.sort_unstable();
    palette.dedup();
    for &color in &palette {
        let [r, g, b] = steps(color).map(|step| u32::from(step) * 100 / u32::from(STEPS - 1));
        write!(out, "#{color};2;{r};{g};{b}")?;
    }
    for top in (0..height).step_by(BAND as usize) {
        for &color in &palette {
            let band: Vec<u8> = (0..width).map(|x| sixel(&image, x, top, color)).collect();
            if band.iter().any(|&bits| bits != 0) {
                write!(out, "#{color}")?;
                write_runs(&band, out)?;
                // Back to the start of the band for the next colour.
                write!(out, "$")?;
            }
        }
        write!(out, "-")?;
    }
    writeln!(out, "\x1b\\")
}

/// The bits of the pixels of `color` in the column `x` of the band below `top`, uppermost lowest.
fn sixel(image: &GrayImage, x: u32, top: u32, color: u8) -> u8 {
    let is_set = |row: &u32| {
        image
            .get_pixel_checked(x, top + row)
            .is_some_and(|pixel| pixel.0 == [color])
    };
    (0..BAND).filter(is_set).map(|row| 1 << row).sum()
}

/// Writes columns as characters from `?`, repeated ones with their number.
fn write_runs(band: &[u8], out: &mut impl Write) -> io::Result<()> {
    for run in band.chunk_by(|a, b| a == b) {
        let character = char::from(b'?' + run[0]);
        match run.len() {
            n @ 4.. => write!(out, "!{n}{character}")?,
            n => (0..n).try_for_each(|_| write!(out, "{character}"))?,
        }
    }
    Ok(())
}

/// The colours, numbered with blue running fastest.
struct Cube;

impl ColorMap for Cube {
    type Color = Rgb<u8>;

    fn index_of(&self, color: &Rgb<u8>) -> usize {
        index(color).into()
    }

    fn map_color(&self, color: &mut Rgb<u8>) {
        *color = Rgb(steps(index(color)).map(|step| step * STEP));
    }
}

fn index(&Rgb(channels): &Rgb<u8>) -> u8 {
    let nearest = |channel: u8| (channel + STEP / 2) / STEP;
    channels.iter().fold(0, |index, &channel| {
        index * STEPS + nearest(channel.min(255 - STEP / 2))
    })
}

fn steps(index: u8) -> [u8; 3] {
    [
        index / (STEPS * STEPS),
        index / STEPS % STEPS,
        index % STEPS,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_maps_to_the_nearest_of_the_cube() {
        for value in 0..=255u8 {
            let mut color = Rgb([value, 0, 255]);
            Cube.map_color(&mut color);
            assert!(
                color.0[0].abs_diff(value) <= STEP / 2 + 1,
                "{value} became {}",
                color.0[0]
            );
            assert_eq!((color.0[1], color.0[2]), (0, 255));
        }
    }

    #[test]
    fn bands_hold_six_rows_of_each_colour() {
        let mut image = RgbImage::from_pixel(5, 7, Rgb([255, 0, 0]));
        image.put_pixel(0, 1, Rgb([0, 0, 255]));
        let mut out = Vec::new();
        draw(
            &image,
            Cells {
                columns: 60,
                rows: 20,
            },
            &mut out,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\x1bP0;1q\"1;1;5;7\
             #5;2;0;0;100#180;2;100;0;0\
             #5A!4?$#180|!4~$-\
             #180!5@$-\
             \x1b\\\n"
        );
    }
}
