//! What a decoder graph is told of a batch: tokens and image rows, where they stand in their sequences,
//! what they see. It knows the graph's inputs, and nothing of caches or devices.

use super::{Outputs, Part};
use crate::{
    Result,
    config::TextConfig,
    ggml::Scheduler,
    model::{decoder::DecoderGraph, text_periods},
};
use half::f16;

/// Writes all inputs of `graph` for the batch `parts`, whose first tokens have the positions `starts`;
/// `mask` is room for one of them.
pub(in crate::runtime) fn write_inputs(
    s: &mut Scheduler,
    graph: &DecoderGraph,
    config: &TextConfig,
    parts: &[Part],
    starts: &[usize],
    mask: &mut Vec<f16>,
) -> Result<()> {
    s.write(&graph.graph, &graph.periods, &text_periods(config))?;
    let mut positions = Vec::new();
    let spans = graph.shape.spans.iter().zip(&graph.spans);
    for (&start, (span, inputs)) in starts.iter().zip(spans) {
        let cells: Vec<i64> = (start..start + span.n_tokens).map(|p| p as i64).collect();
        positions.extend(cells.iter().map(|&p| p as i32));
        causal_mask(mask, start, span.n_tokens, span.n_kv);
        s.write(&graph.graph, &inputs.cells, &cells)?;
        s.write(&graph.graph, &inputs.mask, mask)?;
    }
    s.write(&graph.graph, &graph.positions, &positions)?;
    if let Some(input) = &graph.output_rows {
        s.write(&graph.graph, input, &output_rows(parts))?;
    }
    write_tokens(s, graph, parts)
}

/// The rows of the batch `parts` whose logits are wanted.
pub(super) fn output_rows(parts: &[Part]) -> Vec<i32> {
    let mut rows = Vec::new();
    let mut end = 0;
    for part in parts {
        let start = end;
        end += part.run.ids.len() as i32;
        match part.outputs {
            Outputs::None => {}
            Outputs::Last => rows.push(end - 1),
            Outputs::All => rows.extend(start..end),
        }
    }
    rows
}

/// Writes the inputs of `graph` that say what the tokens of `parts` are.
fn write_tokens(s: &mut Scheduler, graph: &DecoderGraph, parts: &[Part]) -> Result<()> {
    let (mut ids, mut values, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let start = ids.len();
        ids.extend(part.run.ids.iter().map(|&id| id as i32));
        for row in part.run.image_rows {
            values.extend_from_slice(row.values);
            slots.push((start + row.slot) as i64);
        }
    }
    if let Some(input) = &graph.tokens {
        s.write(&graph.graph, input, &ids)?;
    }
    if let Some(input) = &graph.image_rows {
        s.write(&graph.graph, input, &values)?;
    }
    if let Some(input) = &graph.image_slots {
        s.write(&graph.graph, input, &slots)?;
    }
    Ok(())
}

/// Fills `mask` with `n_tokens` rows of `n_kv` values: the token at position `start + i` sees the
/// cells up to its own.
fn causal_mask(mask: &mut Vec<f16>, start: usize, n_tokens: usize, n_kv: usize) {
    mask.clear();
    mask.resize(n_tokens * n_kv, f16::NEG_INFINITY);
    for (i, row) in mask.chunks_exact_mut(n_kv).enumerate() {
        row[..=start + i].fill(f16::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Run;

    #[test]
    fn a_token_sees_itself_and_everything_before_it() {
        let mut mask = Vec::new();
        causal_mask(&mut mask, 2, 2, 6);
        let seen: Vec<bool> = mask.iter().map(|&m| m == f16::ZERO).collect();
        let row = |n: usize| (0..6).map(move |c| c < n);
        assert_eq!(seen, row(3).chain(row(4)).collect::<Vec<_>>());
    }

    #[test]
    fn wanted_rows_are_counted_over_the_whole_batch() {
        let part = |ids, outputs| Part {
            sequence: 0,
            run: Run {
                ids,
                image_rows: &[],
            },
            outputs,
        };
        let parts = [
            part(&[1, 2], Outputs::Last),
            part(&[3, 4, 5], Outputs::None),
            part(&[6, 7], Outputs::All),
        ];
        assert_eq!(output_rows(&parts), [1, 5, 6]);
    }
}
