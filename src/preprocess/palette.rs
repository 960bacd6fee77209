//! Palettes, ready to paint with: each colour already over white.

use super::flatten::over_white;

/// A colour for every index of one byte. Indices beyond the file's palette are black.
pub(super) type Colours = [[u8; 3]; 256];

/// The colours of `palette`, RGB by RGB, with the alpha of each index.
pub(super) fn colours(palette: &[u8], alpha: impl Fn(usize) -> u8) -> Colours {
    let mut colours = [[0; 3]; 256];
    let (palette, _) = palette.as_chunks::<3>();
    for (index, (out, &colour)) in colours.iter_mut().zip(palette).enumerate() {
        *out = over_white(colour, alpha(index));
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_has_its_colour_over_white() {
        let colours = colours(&[1, 2, 3, 4, 5, 6], |index| [255, 0][index]);
        assert_eq!(colours[0], [1, 2, 3]);
        assert_eq!(colours[1], [255; 3]);
        assert_eq!(colours[2], [0; 3]);
    }
}
