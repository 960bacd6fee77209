//! Where an answer begins: in the sequence that holds most of its prompt, or with a copy of what
//! another one holds.

use super::{AnswerId, Batch, Place, task::Task};
use crate::{
    Error, ErrorKind, Result,
    chat::Prompt,
    session::{GenerateOptions, history::Slot, history::common_prefix},
};
use std::cmp::Reverse;

impl Batch {
    /// Begins an answer to `prompt`. It goes on with each [`step`](Self::step).
    ///
    /// What another sequence holds of the prompt, running or not, is not computed again, nor is what
    /// another answer is about to read, nor are pictures whose embeddings are known.
    /// [`GenerateOptions::speculation`] has no meaning here.
    ///
    /// Errors with `InvalidArgument` if the options make no sense, the prompt's image tokens do not
    /// match its pictures, or no sequence is [free](Self::n_free); with `ContextFull` if the prompt is
    /// longer than the context.
    pub fn begin(&mut self, prompt: &Prompt, options: &GenerateOptions) -> Result<AnswerId> {
        let mut task = Task::new(&self.model, prompt, options, self.n_ctx())?;
        let Some((sequence, known)) = choose(&self.places, task.wanted()) else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "all {} answers that can be given at once are being given",
                    self.places.len()
                ),
            ));
        };
        let known = known.min(task.most_known());
        task.reuse(known);
        self.n_begun += 1;
        let id = AnswerId(self.n_begun);
        let place = &mut self.places[sequence];
        place.history.truncate(known);
        place.running = Some((id, task));
        place.last = id.0;
        self.decoder.truncate_of(sequence, known);
        Ok(id)
    }

    /// Gives prompts that are being read what other sequences have of them by now.
    pub(super) fn share(&mut self) -> Result<()> {
        for to in 0..self.places.len() {
            let Some((_, task)) = self.places[to].reading() else {
                continue;
            };
            let len = self.places[to].history.len();
            let others = (0..self.places.len()).filter(|&from| from != to);
            let known = others.map(|from| {
                let history = &self.places[from].history;
                (common_prefix(history, task.wanted()), from)
            });
            let Some((known, from)) = known.max() else {
                continue;
            };
            let known = known.min(task.most_known());
            if known <= len {
                continue;
            }
            let copied = task.wanted()[len..known].to_vec();
            self.decoder.copy_tokens(from, to, known)?;
            let place = &mut self.places[to];
            place.history.extend(copied);
            if let Some((_, task)) = &mut place.running {
                task.reuse(known - len);
            }
        }
        Ok(())
    }
}

/// The free sequence for an answer to `wanted`, and how many tokens of it that holds: one whose
/// conversation goes on, which forgets less than it keeps, or else the one that was not used for longest.
fn choose(places: &[Place], wanted: &[Slot]) -> Option<(usize, usize)> {
    let free = places.iter().enumerate();
    let free = free.filter(|(_, place)| place.running.is_none());
    let free: Vec<_> = free
        .map(|(i, place)| (i, place, common_prefix(&place.history, wanted)))
        .collect();
    let goes_on = free
        .iter()
        .filter(|(_, place, known)| *known > 0 && 2 * known >= place.history.len());
    let best = goes_on.max_by_key(|(_, place, known)| (known, Reverse(place.last)));
    let oldest = || free.iter().min_by_key(|(_, place, _)| place.last);
    best.or_else(oldest).map(|&(i, _, known)| (i, known))
}

/// Whether an older prompt that is being read in another one of `places` has more of `wanted`, which
/// `id` reads and of which `len` tokens are there: then it pays to wait for it.
pub(super) fn is_read_by_another(
    places: &[Place],
    id: AnswerId,
    wanted: &[Slot],
    len: usize,
) -> bool {
    let older = places.iter().filter_map(Place::reading);
    let mut older = older.filter(|(other, _)| *other < id);
    older.any(|(_, task)| common_prefix(task.wanted(), wanted) > len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(ids: &[u32]) -> Vec<Slot> {
        ids.iter().map(|&id| Slot::Token(id)).collect()
    }

    fn place(ids: &[u32], last: u64) -> Place {
        Place {
            history: slots(ids),
            running: None,
            last,
        }
    }

    #[test]
    fn a_conversation_goes_on_where_it_is() {
        let places = [place(&[1, 2, 3], 1), place(&[1, 2, 9], 2), place(&[], 0)];
        assert_eq!(choose(&places, &slots(&[1, 2, 9, 4])), Some((1, 3)));
    }

    #[test]
    fn a_short_common_beginning_costs_no_long_conversation() {
        let places = [place(&[1, 2, 3, 4, 5], 1), place(&[7, 8], 2)];
        // The first one is both what has the beginning and what was not used for longest.
        assert_eq!(choose(&places, &slots(&[1, 2, 9])), Some((0, 2)));
        let places = [place(&[1, 2, 3, 4, 5], 2), place(&[7, 8], 1)];
        assert_eq!(choose(&places, &slots(&[1, 2, 9])), Some((1, 0)));
    }

    #[test]
    fn there_is_no_place_where_none_is_free() {
        assert_eq!(choose(&[], &slots(&[1])), None);
    }
}
