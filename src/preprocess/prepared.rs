//! A picture as the vision tower takes it.

use super::Patches;

/// Normalised pixels of a picture whose sides are whole patches.
#[derive(Clone, Debug)]
pub struct PreparedImage {
    /// Shape [3, height, width]: all of red, then green, then blue, each row by row.
    pub pixels: Vec<f32>,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Its patches.
    pub grid: Patches,
}

impl PreparedImage {
    /// Shape [patches, 3 × `patch_size`²]: one row a patch, the patches row by row, the values of
    /// a patch in the order (channel, y, x).
    pub fn patch_rows(&self, patch_size: u32) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.pixels.len());
        for top in (0..self.height).step_by(patch_size as usize) {
            self.extend_with_line(patch_size, top, &mut rows);
        }
        rows
    }

    /// Appends to `rows` the patches, a row of values each, whose uppermost pixels are in row `top`.
    pub(crate) fn extend_with_line(&self, patch_size: u32, top: u32, rows: &mut Vec<f32>) {
        let (width, height) = (self.width as usize, self.height as usize);
        let (patch, top) = (patch_size as usize, top as usize);
        for left in (0..width).step_by(patch) {
            for plane in self.pixels.chunks_exact(width * height) {
                for line in plane.chunks_exact(width).skip(top).take(patch) {
                    rows.extend_from_slice(&line[left..left + patch]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_one_patch_channel_by_channel() {
        // Each value says where it stands: channel, y and x as decimal digits.
        let (width, height) = (4, 6);
        let place = |c: u32, y: u32, x: u32| (100 * c + 10 * y + x) as f32;
        let pixels = (0..3)
            .flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))))
            .map(|(c, y, x)| place(c, y, x))
            .collect();
        let image = PreparedImage {
            pixels,
            width,
            height,
            grid: Patches { rows: 3, cols: 2 },
        };
        let rows = image.patch_rows(2);
        assert_eq!(rows.len(), 3 * 4 * 6);
        let second_row_first_patch: Vec<f32> = (0..3)
            .flat_map(|c| [(2, 0), (2, 1), (3, 0), (3, 1)].map(|(y, x)| place(c, y, x)))
            .collect();
        assert_eq!(rows[2 * 12..3 * 12], second_row_first_patch);
        assert_eq!(rows[5 * 12 + 11], place(2, 5, 3));
    }
}
