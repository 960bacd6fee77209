//! Pictures in the terminal, by the best means that the terminal is known to have.
//!
//! Owns the choice of means, the size on the screen and the encodings. Asks the terminal nothing:
//! what it can do is told from the environment, so that nothing waits for an answer and nothing
//! is left in the input. It knows nothing of models.

mod blocks;
mod detect;
mod iterm;
mod kitty;
mod sixel;

use detect::Means;
use image::{RgbImage, imageops};
use std::io::{self, IsTerminal, Write};

/// Most columns that a picture takes.
const MAX_COLUMNS: u32 = 60;

/// Rows left free for what is printed under the picture.
const FREE_ROWS: u32 = 4;

/// Size taken for a terminal that does not say.
const USUAL_SIZE: (u32, u32) = (80, 24);

/// Shows `image` on `out`, and returns whether it did: not if `out` is no terminal, or one that
/// cannot show pictures or should not (`TERM=dumb`; `NO_COLOR` where colour is all there is).
///
/// Errors if writing fails.
pub fn show(image: &RgbImage, out: &mut (impl Write + IsTerminal)) -> io::Result<bool> {
    let is_empty = image.width() == 0 || image.height() == 0;
    if is_empty || !out.is_terminal() {
        return Ok(false);
    }
    let Some(means) = detect::means(|name| std::env::var(name).ok()) else {
        return Ok(false);
    };
    let terminal = match terminal_size::terminal_size() {
        Some((columns, rows)) => (columns.0.into(), rows.0.into()),
        None => USUAL_SIZE,
    };
    let cells = Cells::fit(image, terminal);
    match means {
        Means::Kitty => kitty::draw(image, cells, out),
        Means::Iterm => iterm::draw(image, cells, out),
        Means::Sixel => sixel::draw(image, cells, out),
        Means::Blocks(colors) => blocks::draw(image, cells, colors, out),
    }?;
    out.flush()?;
    Ok(true)
}

/// Size on the screen in character cells, which are twice as high as wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cells {
    columns: u32,
    rows: u32,
}

impl Cells {
    /// The largest size with the proportions of `image` in a terminal of (columns, rows).
    fn fit(image: &RgbImage, terminal: (u32, u32)) -> Self {
        let max_columns = f64::from(terminal.0.clamp(1, MAX_COLUMNS));
        let max_rows = f64::from(terminal.1.saturating_sub(FREE_ROWS).max(1));
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let rows_per_column = height / width / 2.0;
        let columns = max_columns.min(max_rows / rows_per_column);
        let whole = |cells: f64| (cells.round() as u32).max(1);
        Self {
            columns: whole(columns),
            rows: whole((columns * rows_per_column).min(max_rows)),
        }
    }
}

/// `image` scaled down, if need be, to fit into `width` × `height` pixels.
fn scale_down(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let ratio = |to: u32, from: u32| f64::from(to) / f64::from(from);
    let scale = ratio(width, image.width()).min(ratio(height, image.height()));
    if scale >= 1.0 {
        return image.clone();
    }
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let (width, height) = (scaled(image.width()), scaled(image.height()));
    imageops::resize(image, width, height, imageops::FilterType::Triangle)
}

/// `image` as a PNG file of at most `cells` × 16 × 32 pixels: sharper than terminals show it,
/// and not more than they need.
fn png(image: &RgbImage, cells: Cells) -> io::Result<Vec<u8>> {
    let mut bytes = io::Cursor::new(Vec::new());
    scale_down(image, 16 * cells.columns, 32 * cells.rows)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(io::Error::other)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_and_keep_their_proportions() {
        for ((width, height), terminal, (columns, rows)) in [
            ((640, 480), (200, 100), (60, 23)),
            ((640, 480), (40, 100), (40, 15)),
            ((480, 640), (200, 24), (30, 20)),
            ((1, 1), (200, 100), (60, 30)),
            ((1000, 1), (200, 100), (60, 1)),
            ((1, 1000), (200, 100), (1, 96)),
            ((640, 480), (0, 0), (1, 1)),
        ] {
            let cells = Cells::fit(&RgbImage::new(width, height), terminal);
            assert_eq!(
                cells,
                Cells { columns, rows },
                "{width}×{height} in {terminal:?}"
            );
        }
    }

    #[test]
    fn a_pipe_or_file_gets_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(!show(&RgbImage::new(4, 4), &mut file).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}
