//! From a picture's size to its grid of patches: how far it is scaled down, and how many tokens
//! it takes. Arithmetic on sizes only; pixels are not known here.

use crate::config::VisionConfig;

/// A grid of square patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Patches from top to bottom.
    pub rows: u32,
    /// Patches from left to right.
    pub cols: u32,
}

impl Patches {
    /// Number of patches.
    pub fn n_patches(self) -> usize {
        self.rows as usize * self.cols as usize
    }

    /// Tokens that the picture takes in a prompt: one a patch, and one at the end of each row.
    pub fn n_tokens(self) -> usize {
        self.rows as usize * (self.cols as usize + 1)
    }
}

/// The rule that gives a source picture its grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct GridRule {
    /// Longest side in pixels; a longer picture is scaled down to it.
    image_size: u32,
    patch_size: u32,
    max_tokens: Option<u32>,
}

impl GridRule {
    pub(super) fn new(vision: &VisionConfig, max_tokens: Option<u32>) -> Self {
        Self {
            image_size: vision.image_size,
            patch_size: vision.patch_size,
            max_tokens,
        }
    }

    pub(super) fn patch_size(&self) -> u32 {
        self.patch_size
    }

    /// Grid of a source of `width` × `height` pixels.
    ///
    /// With a token budget it is the grid of the largest longest side that keeps within it: the
    /// grid never shrinks as that side grows, so the side is found by bisection. The smallest
    /// grid is one patch, whatever the budget.
    pub(super) fn grid(&self, width: u32, height: u32) -> Patches {
        let grid = |limit| scaled_grid(width, height, limit, self.patch_size);
        let largest = grid(self.image_size);
        let Some(budget) = self.max_tokens else {
            return largest;
        };
        let fits = |grid: Patches| grid.n_tokens() <= budget as usize;
        if fits(largest) {
            return largest;
        }
        let (mut best, mut beyond) = (1, self.image_size);
        while beyond - best > 1 {
            let middle = best + (beyond - best) / 2;
            match fits(grid(middle)) {
                true => best = middle,
                false => beyond = middle,
            }
        }
        grid(best)
    }
}

/// Grid of a source whose longest side may have `limit` pixels, as in mistral_common's
/// `ImageEncoder._image_to_num_tokens`: ratios in f64, sides rounded half to even.
fn scaled_grid(width: u32, height: u32, limit: u32, patch_size: u32) -> Patches {
    let (w, h, limit) = (f64::from(width), f64::from(height), f64::from(limit));
    let ratio = f64::max(h / limit, w / limit);
    let n_patches = |side: u32| match ratio > 1.0 {
        true => ((f64::from(side) / ratio).round_ties_even() as u32)
            .max(1)
            .div_ceil(patch_size),
        false => side.div_ceil(patch_size),
    };
    Patches {
        rows: n_patches(height),
        cols: n_patches(width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    fn rule(image_size: u32, patch_size: u32, max_tokens: Option<u32>) -> GridRule {
        let vision = VisionConfig {
            image_size,
            patch_size,
            ..Config::pixtral_12b().vision
        };
        GridRule::new(&vision, max_tokens)
    }

    fn patches(rows: u32, cols: u32) -> Patches {
        Patches { rows, cols }
    }

    #[test]
    fn a_small_picture_is_rounded_up_to_whole_patches() {
        let rule = rule(1024, 16, None);
        assert_eq!(rule.grid(1, 1), patches(1, 1));
        assert_eq!(rule.grid(16, 16), patches(1, 1));
        assert_eq!(rule.grid(17, 33), patches(3, 2));
        assert_eq!(rule.grid(1024, 1024), patches(64, 64));
    }

    #[test]
    fn a_large_picture_is_scaled_to_the_longest_side() {
        let rule = rule(1024, 16, None);
        assert_eq!(rule.grid(1025, 700), patches(44, 64));
        assert_eq!(rule.grid(4000, 3000), patches(48, 64));
        assert_eq!(rule.grid(3000, 4000), patches(64, 48));
    }

    #[test]
    fn an_extreme_ratio_keeps_one_patch_across() {
        let rule = rule(1024, 16, None);
        assert_eq!(rule.grid(1, 2000), patches(64, 1));
        assert_eq!(rule.grid(u32::MAX, 1), patches(1, 64));
    }

    #[test]
    fn sides_are_rounded_half_to_even() {
        // Halved, 33 pixels are 16.5: to even it is 16, one patch; away from zero 17, two.
        assert_eq!(rule(64, 16, None).grid(128, 33), patches(1, 4));
        // 35 pixels are 17.5: to even it is 18.
        assert_eq!(rule(64, 17, None).grid(128, 35), patches(2, 4));
    }

    #[test]
    fn sizes_come_from_the_configuration() {
        assert_eq!(rule(256, 8, None).grid(512, 512), patches(32, 32));
    }

    #[test]
    fn each_row_ends_with_one_more_token() {
        assert_eq!(patches(3, 2).n_tokens(), 9);
        assert_eq!(patches(3, 2).n_patches(), 6);
    }

    #[test]
    fn a_budget_below_any_picture_gives_one_patch() {
        assert_eq!(rule(1024, 16, Some(0)).grid(4000, 3000), patches(1, 1));
    }

    #[test]
    fn a_budget_that_suffices_changes_nothing() {
        assert_eq!(rule(1024, 16, Some(3120)).grid(4000, 3000), patches(48, 64));
        assert!(rule(1024, 16, Some(3119)).grid(4000, 3000).n_tokens() < 3120);
    }

    proptest! {
        #[test]
        fn the_budget_takes_the_largest_limit_that_fits(
            width in 1u32..3000, height in 1u32..3000, patch in 1u32..40, budget in 2u32..600,
        ) {
            let size = 200;
            let grid = rule(size, patch, Some(budget)).grid(width, height);
            let by_trial = (1..=size)
                .rev()
                .map(|limit| scaled_grid(width, height, limit, patch))
                .find(|grid| grid.n_tokens() <= budget as usize);
            prop_assert_eq!(Some(grid), by_trial);
        }
    }
}
