//! Bicubic resize and normalisation in one pass, from 8-bit RGB to planes of f32.
//!
//! The resize is OpenCV's `INTER_CUBIC` on floats: four taps a direction whatever the scale (no
//! antialiasing), the border replicated, nothing clipped, first across and then down. Knows
//! sizes and pixels only, neither files nor patches.

use rayon::prelude::*;

/// Mean of each channel, for pixels from 0 to 1 (CLIP's, in mistral_common's `DATASET_MEAN`).
pub(crate) const MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation of each channel (mistral_common's `DATASET_STD`).
#[expect(clippy::excessive_precision, reason = "the digits as published")]
pub(crate) const STD: [f32; 3] = [0.26862954, 0.26130258, 0.27577711];
/// The free parameter of the cubic kernel (Keys, 1981); OpenCV's choice.
const CUBIC: f32 = -0.75;
/// Output rows of one parallel piece: enough that the source rows which two pieces share are few.
const BAND_ROWS: usize = 32;
/// How far taps reach outside of the source: its border is replicated this often.
const BORDER: usize = 2;

/// Stretches `source`, row by row `from` = (width, height), to `to` = (width, height) and
/// normalises it. Returns shape [3, height, width].
pub(super) fn resize_normalised(source: &[[u8; 3]], from: (u32, u32), to: (u32, u32)) -> Vec<f32> {
    let (columns, rows) = (taps(from.0, to.0), taps(from.1, to.1));
    let (width, plane) = (columns.len(), columns.len() * rows.len());
    let mut pixels = vec![0.0; 3 * plane];
    let (red, rest) = pixels.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    let band = BAND_ROWS * width;
    rows.par_chunks(BAND_ROWS)
        .zip(red.par_chunks_mut(band))
        .zip(green.par_chunks_mut(band))
        .zip(blue.par_chunks_mut(band))
        .for_each(|(((rows, red), green), blue)| {
            let mut window = Window::new(source, from.0 as usize, &columns);
            let out = red
                .chunks_exact_mut(width)
                .zip(green.chunks_exact_mut(width))
                .zip(blue.chunks_exact_mut(width));
            for (tap, ((red, green), blue)) in rows.iter().zip(out) {
                let loaded = window.load(tap);
                for (channel, out) in [red, green, blue].into_iter().enumerate() {
                    let lines = loaded.map(|y| window.line(y, channel));
                    down(lines, tap.weights, MEAN[channel], STD[channel], out);
                }
            }
        });
    pixels
}

/// What one output position takes from the source along one direction.
#[derive(Clone, Copy, Debug)]
struct Tap {
    /// First of four neighbouring source positions, which may lie up to `BORDER` outside.
    first: i64,
    weights: [f32; 4],
}

/// The taps of every output position for a side of `from` pixels stretched to `to`.
fn taps(from: u32, to: u32) -> Vec<Tap> {
    let scale = f64::from(to) / f64::from(from);
    let border = BORDER as i64;
    (0..to)
        .map(|position| {
            let centre = ((f64::from(position) + 0.5) / scale - 0.5) as f32;
            let before = centre.floor();
            Tap {
                // Beyond 2²⁴ pixels a position in f32 may be rounded to outside of the border.
                first: (before as i64 - 1).clamp(-border, i64::from(from) + border - 4),
                weights: weights(centre - before),
            }
        })
        .collect()
}

/// Weights of the four neighbours of a point `x` (0 to 1) after the second. The order of the
/// operations is OpenCV's, and the last weight is what the others leave, so that they sum to 1.
fn weights(x: f32) -> [f32; 4] {
    const A: f32 = CUBIC;
    let (before, after) = (x + 1.0, 1.0 - x);
    let w0 = ((A * before - 5.0 * A) * before + 8.0 * A) * before - 4.0 * A;
    let w1 = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let w2 = ((A + 2.0) * after - (A + 3.0)) * after * after + 1.0;
    [w0, w1, w2, 1.0 - w0 - w1 - w2]
}

/// The source rows that the current output row needs, already stretched across.
///
/// Four neighbouring rows leave different remainders by four, so row `y` lives in slot `y % 4`
/// until a row further down takes its place.
struct Window<'a> {
    source: &'a [[u8; 3]],
    width: usize,
    height: usize,
    columns: &'a [Tap],
    /// A source row between its replicated borders.
    padded: Vec<u8>,
    /// The row in each slot.
    held: [Option<usize>; 4],
    /// Shape [slot, 3, output width].
    lines: Vec<f32>,
}

impl<'a> Window<'a> {
    fn new(source: &'a [[u8; 3]], width: usize, columns: &'a [Tap]) -> Self {
        Self {
            source,
            width,
            height: source.len() / width,
            columns,
            padded: Vec::with_capacity(3 * (width + 2 * BORDER) + 1),
            held: [None; 4],
            lines: vec![0.0; 4 * 3 * columns.len()],
        }
    }

    /// Makes sure that the four rows of `tap` are there, and returns their numbers.
    fn load(&mut self, tap: &Tap) -> [usize; 4] {
        let last = self.height as i64 - 1;
        let rows = [0, 1, 2, 3].map(|step| (tap.first + step).clamp(0, last) as usize);
        for y in rows {
            let slot = y % 4;
            if self.held[slot] != Some(y) {
                self.held[slot] = Some(y);
                pad(
                    &self.source[y * self.width..][..self.width],
                    &mut self.padded,
                );
                let n = 3 * self.columns.len();
                across(&self.padded, self.columns, &mut self.lines[slot * n..][..n]);
            }
        }
        rows
    }

    /// One channel of row `y`, which was loaded.
    fn line(&self, y: usize, channel: usize) -> &[f32] {
        let width = self.columns.len();
        &self.lines[(y % 4 * 3 + channel) * width..][..width]
    }
}

/// Copies `row` between its replicated borders, and a byte more so that each pixel can be read as
/// four bytes.
fn pad(row: &[[u8; 3]], padded: &mut Vec<u8>) {
    padded.clear();
    for _ in 0..BORDER {
        padded.extend(row[0]);
    }
    padded.extend_from_slice(row.as_flattened());
    for _ in 0..BORDER {
        padded.extend(row[row.len() - 1]);
    }
    padded.push(0);
}

/// Stretches one padded row across, into three lines of one channel each.
fn across(padded: &[u8], columns: &[Tap], lines: &mut [f32]) {
    let (red, rest) = lines.split_at_mut(columns.len());
    let (green, blue) = rest.split_at_mut(columns.len());
    for (((tap, red), green), blue) in columns.iter().zip(red).zip(green).zip(blue) {
        let start = 3 * (tap.first + BORDER as i64) as usize;
        let neighbours = &padded[start..start + 13];
        // Four lanes, of which the last is of no use, make each step one vector instruction.
        let lanes = |i: usize| -> [f32; 4] {
            std::array::from_fn(|channel| f32::from(neighbours[3 * i + channel]))
        };
        let [a, b, c, d] = [lanes(0), lanes(1), lanes(2), lanes(3)];
        let [wa, wb, wc, wd] = tap.weights;
        let sum: [f32; 4] = std::array::from_fn(|i| a[i] * wa + b[i] * wb + c[i] * wc + d[i] * wd);
        (*red, *green, *blue) = (sum[0], sum[1], sum[2]);
    }
}

/// Blends four lines of one channel and normalises the result.
fn down(lines: [&[f32]; 4], weights: [f32; 4], mean: f32, std: f32, out: &mut [f32]) {
    let [wa, wb, wc, wd] = weights;
    // Slices of one known length let the loop be vectorised.
    let [a, b, c, d] = lines.map(|line| &line[..out.len()]);
    for (x, out) in out.iter_mut().enumerate() {
        let value = a[x] * wa + b[x] * wb + c[x] * wc + d[x] * wd;
        *out = (value / 255.0 - mean) / std;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one output value at a time.
    fn naive(source: &[[u8; 3]], from: (u32, u32), to: (u32, u32)) -> Vec<f32> {
        let tap = |position: u32, from: u32, to: u32| {
            let scale = f64::from(to) / f64::from(from);
            let centre = ((f64::from(position) + 0.5) / scale - 0.5) as f32;
            (centre.floor() as i64, weights(centre - centre.floor()))
        };
        let pixel = |x: i64, y: i64, channel: usize| {
            let x = x.clamp(0, i64::from(from.0) - 1) as usize;
            let y = y.clamp(0, i64::from(from.1) - 1) as usize;
            f32::from(source[y * from.0 as usize + x][channel])
        };
        let sum = |v: [f32; 4], w: [f32; 4]| v[0] * w[0] + v[1] * w[1] + v[2] * w[2] + v[3] * w[3];
        let steps = [-1, 0, 1, 2];
        let mut out = Vec::new();
        for channel in 0..3 {
            for y in 0..to.1 {
                for x in 0..to.0 {
                    let (left, across) = tap(x, from.0, to.0);
                    let (top, down) = tap(y, from.1, to.1);
                    let line =
                        |y: i64| sum(steps.map(|step| pixel(left + step, y, channel)), across);
                    let value = sum(steps.map(|step| line(top + step)), down);
                    out.push((value / 255.0 - MEAN[channel]) / STD[channel]);
                }
            }
        }
        out
    }

    fn bits(values: Vec<f32>) -> Vec<u32> {
        values.into_iter().map(f32::to_bits).collect()
    }

    /// A picture, its size and a size to stretch it to.
    type Case = (Vec<[u8; 3]>, (u32, u32), (u32, u32));

    fn case() -> impl Strategy<Value = Case> {
        (1u32..40, 1u32..90, 1u32..40, 1u32..90).prop_flat_map(|(w, h, to_w, to_h)| {
            let pixels = prop::collection::vec(any::<[u8; 3]>(), (w * h) as usize);
            (pixels, Just((w, h)), Just((to_w, to_h)))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_fast_form_is_the_definition_bit_for_bit((source, from, to) in case()) {
            prop_assert_eq!(
                bits(resize_normalised(&source, from, to)),
                bits(naive(&source, from, to))
            );
        }

        #[test]
        fn the_same_size_is_a_copy((source, from, _) in case()) {
            let plain: Vec<f32> = (0..3)
                .flat_map(|c| source.iter().map(move |pixel| (c, pixel[c])))
                .map(|(c, value)| (f32::from(value) / 255.0 - MEAN[c]) / STD[c])
                .collect();
            prop_assert_eq!(bits(resize_normalised(&source, from, from)), bits(plain));
        }

        #[test]
        fn weights_sum_to_one(x in 0f32..1.0) {
            prop_assert!((weights(x).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn taps_stay_within_the_replicated_border() {
        for (from, to) in [
            (1, 1),
            (1, 16),
            (2, 16),
            (16, 1),
            (u32::MAX, 999),
            (1 << 25, 1 << 20),
        ] {
            for tap in taps(from, to) {
                let border = BORDER as i64;
                assert!(tap.first >= -border && tap.first + 3 < i64::from(from) + border);
            }
        }
    }

    #[test]
    fn the_border_is_replicated_and_overshoot_is_kept() {
        let step = [[0; 3], [0; 3], [255; 3], [255; 3]];
        let out = resize_normalised(&step, (4, 1), (8, 1));
        let red: Vec<f32> = out[..8]
            .iter()
            .map(|v| (v * STD[0] + MEAN[0]) * 255.0)
            .collect();
        assert!(
            red[0].abs() < 1e-3 && (red[7] - 255.0).abs() < 1e-3,
            "{red:?}"
        );
        assert!(red[2] < -1.0 && red[5] > 256.0, "{red:?}");
    }
}
