//! How a step is divided among the sequences: which of them compute how many tokens. A function of
//! what they hold and of measured cost.

use super::{Place, begin::is_read_by_another, pace::Pace, task::Next};
use crate::runtime::{Part, Run};

/// What one sequence computes in a step.
pub(super) struct Work<'a> {
    pub(super) sequence: usize,
    /// Whether it is a part of a prompt.
    pub(super) reads: bool,
    pub(super) next: Next<'a>,
}

impl Work<'_> {
    /// The same for the decoder.
    pub(super) fn part(&self) -> Part<'_> {
        Part {
            sequence: self.sequence,
            run: Run {
                ids: &self.next.ids,
                image_rows: &self.next.image_rows,
            },
            outputs: self.next.outputs,
        }
    }
}

/// What the sequences in `places` compute in the next step, at most `n_ubatch` tokens, which
/// are two for each at least, the shortest parts first. If a picture is encoded beside it, half of the time for reading is left to that.
pub(super) fn works<'a>(
    places: &'a [Place],
    pace: &Pace,
    encodes: bool,
    n_ubatch: usize,
) -> Vec<Work<'a>> {
    let most_certain = n_ubatch / places.len() - 1;
    let mut works = Vec::new();
    let mut readers = Vec::new();
    for (sequence, place) in places.iter().enumerate() {
        let Some((id, task)) = &place.running else {
            continue;
        };
        let len = place.history.len();
        if !task.is_reading(len) {
            works.push(Work {
                sequence,
                reads: false,
                next: task.next(len, most_certain),
            });
        } else if task.can_read(len) && !is_read_by_another(places, *id, task.wanted(), len) {
            readers.push((sequence, task, len));
        }
    }
    let n_generated: usize = works.iter().map(|work| work.next.ids.len()).sum();
    let generates = n_generated > 0;
    let room = pace.room(generates) * if encodes { 0.5 } else { 1.0 };
    let wanted = pace.tokens(generates, room).max(readers.len());
    let mut left = wanted.min(n_ubatch - n_generated);
    // All get on, each by the same; those that need less leave the rest to the others.
    readers.sort_by_key(|&(_, task, len)| task.n_readable(len));
    let mut n_readers = readers.len();
    for (sequence, task, len) in readers {
        let share = left.div_ceil(n_readers);
        n_readers -= 1;
        if share > 0 {
            let next = task.next(len, share);
            left -= next.ids.len();
            works.push(Work {
                sequence,
                reads: true,
                next,
            });
        }
    }
    works.sort_by_key(|work| (work.next.ids.len(), work.sequence));
    works
}
