//! What a vision graph is told of pictures: pixels, where each patch stands, and which of them belong
//! together.

use crate::{
    Result,
    config::VisionConfig,
    ggml::Scheduler,
    model::{vision::VisionGraph, vision_periods},
    preprocess::{Patches, PreparedImage},
};
use half::f16;

/// Writes all inputs of `graph` for `images`.
pub(super) fn write_inputs(
    s: &mut Scheduler,
    graph: &VisionGraph,
    config: &VisionConfig,
    images: &[&PreparedImage],
) -> Result<()> {
    write_patches(s, graph, images, config.patch_size)?;
    let (rows, columns) = positions(images);
    let [row_periods, column_periods] = vision_periods(config);
    s.write(&graph.graph, &graph.rows, &rows)?;
    s.write(&graph.graph, &graph.columns, &columns)?;
    s.write(&graph.graph, &graph.row_periods, &row_periods)?;
    s.write(&graph.graph, &graph.column_periods, &column_periods)?;
    if let Some(mask) = &graph.mask {
        s.write(&graph.graph, mask, &block_diagonal(images))?;
    }
    Ok(())
}

fn write_patches(
    s: &mut Scheduler,
    graph: &VisionGraph,
    images: &[&PreparedImage],
    patch_size: u32,
) -> Result<()> {
    let (mut line, mut start) = (Vec::new(), 0);
    for image in images {
        for row in 0..image.grid.rows {
            line.clear();
            image.extend_with_line(patch_size, row * patch_size, &mut line);
            s.write_at(&graph.graph, &graph.patches, start, &line)?;
            start += line.len();
        }
    }
    Ok(())
}

/// Row and column of each patch in the grid of its picture.
fn positions(images: &[&PreparedImage]) -> (Vec<i32>, Vec<i32>) {
    let grids = images.iter().map(|image| image.grid);
    grids
        .flat_map(|Patches { rows, cols }| {
            (0..rows as i32).flat_map(move |row| (0..cols as i32).map(move |column| (row, column)))
        })
        .unzip()
}

/// Each patch's row of what it sees of all patches: those of its own picture.
fn block_diagonal(images: &[&PreparedImage]) -> Vec<f16> {
    let sizes = images.iter().map(|image| image.grid.n_patches());
    let n = sizes.clone().sum();
    let mut mask = vec![f16::NEG_INFINITY; n * n];
    let mut rows = mask.chunks_exact_mut(n);
    let mut first = 0;
    for size in sizes {
        for row in rows.by_ref().take(size) {
            row[first..first + size].fill(f16::ZERO);
        }
        first += size;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of `rows` by `cols` patches, of which nobody looks at the pixels.
    fn image(rows: u32, cols: u32) -> PreparedImage {
        PreparedImage {
            pixels: Vec::new(),
            width: 16 * cols,
            height: 16 * rows,
            grid: Patches { rows, cols },
        }
    }

    #[test]
    fn a_patch_sees_those_of_its_own_picture_and_no_others() {
        let (two, three) = (image(1, 2), image(3, 1));
        let mask = block_diagonal(&[&two, &three]);
        let sees = |&m: &f16| if m == f16::ZERO { '1' } else { '-' };
        let seen: Vec<String> = mask
            .chunks_exact(5)
            .map(|row| row.iter().map(sees).collect())
            .collect();
        assert_eq!(seen, ["11---", "11---", "--111", "--111", "--111"]);
        let (rows, columns) = positions(&[&two, &three]);
        assert_eq!(rows, [0, 0, 0, 1, 2]);
        assert_eq!(columns, [0, 1, 0, 0, 0]);
    }
}
