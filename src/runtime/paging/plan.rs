//! Which parts of the weights stay in memory when not all of them fit, as a function of sizes.
//!
//! Weights are read in the same order for every token. A cache that drops what was not used for
//! longest always drops what comes next, and so reads everything from the disk each time. Keeping
//! some parts and dropping the others as soon as they are used reads only the others.

/// Parts that are streamed at a time: one in use, one being read.
pub(super) const AHEAD: usize = 2;

/// For each part, whether it is read for each use and dropped after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) streamed: Vec<bool>,
}

impl Plan {
    /// The plan for parts of `sizes` bytes, used in this order again and again, in `budget` bytes of
    /// memory; `None` if all of them fit.
    ///
    /// As few parts as possible are streamed, spread evenly, so that the disk has work all the time.
    /// Large parts are kept first: streaming one takes room for two of its size.
    pub(super) fn new(sizes: &[u64], budget: u64) -> Option<Self> {
        if sizes.iter().sum::<u64>() <= budget {
            return None;
        }
        let median = {
            let mut sorted = sizes.to_vec();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        // The output matrix is as large as several layers.
        let is_large = |i: &usize| sizes[*i] > 2 * median;
        let (large, ordinary): (Vec<usize>, Vec<usize>) = (0..sizes.len()).partition(is_large);
        let some_of_ordinary =
            (1..=ordinary.len()).map(|n| Self::spread(sizes.len(), &ordinary, n));
        let with_large = (1..=large.len()).map(|n| {
            let mut plan = Self::spread(sizes.len(), &ordinary, ordinary.len());
            large[..n].iter().for_each(|&i| plan.streamed[i] = true);
            plan
        });
        let mut plans = some_of_ordinary.chain(with_large).collect::<Vec<_>>();
        // Below the least that works, everything is streamed all the same.
        let least = plans.pop();
        plans
            .into_iter()
            .find(|plan| plan.needs(sizes) <= budget)
            .or(least)
    }

    /// Streams `n` of the parts `which`, evenly spread.
    fn spread(n_parts: usize, which: &[usize], n: usize) -> Self {
        let mut streamed = vec![false; n_parts];
        for (place, &i) in which.iter().enumerate() {
            // Of `which.len()` steps, those at which `n / which.len()` of them passes a whole number.
            streamed[i] = (place + 1) * n / which.len() > place * n / which.len();
        }
        Self { streamed }
    }

    /// Bytes of memory that the plan needs: what is kept, and room for the largest streamed parts
    /// that are in memory at a time.
    pub(super) fn needs(&self, sizes: &[u64]) -> u64 {
        let parts = || self.streamed.iter().zip(sizes);
        let kept: u64 = parts().filter(|(s, _)| !**s).map(|(_, n)| n).sum();
        let mut streamed: Vec<u64> = parts().filter(|(s, _)| **s).map(|(_, &n)| n).collect();
        streamed.sort_unstable_by(|a, b| b.cmp(a));
        kept + streamed.iter().take(AHEAD).sum::<u64>()
    }
}

/// The least memory in which parts of `sizes` bytes can be used one after the other.
pub(super) fn least(sizes: &[u64]) -> u64 {
    let streamed = vec![true; sizes.len()];
    Plan { streamed }.needs(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_per_use(plan: &Option<Plan>, sizes: &[u64]) -> u64 {
        plan.as_ref().map_or(0, |plan| {
            let parts = plan.streamed.iter().zip(sizes);
            parts.filter(|(s, _)| **s).map(|(_, n)| n).sum()
        })
    }

    fn sizes() -> impl Strategy<Value = Vec<u64>> {
        // Layers, and an output matrix that is no larger or much larger.
        (1usize..50, 50u64..100, prop::sample::select(vec![1, 3, 8])).prop_map(
            |(n, layer, output)| {
                let layers = std::iter::repeat_n(layer, n);
                layers.chain([output * layer]).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn a_plan_keeps_within_the_budget_unless_nothing_could(sizes in sizes(), budget in 0u64..6000) {
            match Plan::new(&sizes, budget) {
                None => prop_assert!(sizes.iter().sum::<u64>() <= budget),
                Some(plan) if plan.streamed.iter().all(|s| *s) => {}
                Some(plan) => prop_assert!(plan.needs(&sizes) <= budget),
            }
        }

        #[test]
        fn more_memory_never_reads_more(sizes in sizes(), budget in 0u64..6000, more in 0u64..1000) {
            let read = |budget| read_per_use(&Plan::new(&sizes, budget), &sizes);
            prop_assert!(read(budget + more) <= read(budget));
        }

        #[test]
        fn streamed_layers_are_spread(n_layers in 2usize..60, share in 1usize..60) {
            let sizes = vec![10u64; n_layers];
            let n = share.min(n_layers);
            let budget = 10 * (n_layers - n + AHEAD) as u64;
            let Some(plan) = Plan::new(&sizes, budget) else { return Ok(()) };
            let n = plan.streamed.iter().filter(|s| **s).count();
            // Between two streamed layers lie as many as anywhere else, give or take one.
            let places: Vec<usize> = (0..2 * n_layers).filter(|i| plan.streamed[i % n_layers]).collect();
            let gaps: Vec<usize> = places.windows(2).map(|w| w[1] - w[0]).collect();
            let (min, max) = (gaps.iter().min(), gaps.iter().max());
            prop_assert!(n == 1 || max.unwrap() - min.unwrap() <= 1, "{gaps:?}");
        }
    }

    #[test]
    fn all_is_kept_if_it_fits_and_a_little_is_streamed_if_it_almost_does() {
        let sizes = [100, 100, 100, 100, 500];
        assert_eq!(Plan::new(&sizes, 900), None);
        // Two streamed layers take as much room as if they were kept: three bring something.
        let plan = Plan::new(&sizes, 899).unwrap();
        assert_eq!(plan.streamed, [false, true, true, true, false]);
        assert_eq!(plan.needs(&sizes), 800);
    }

    #[test]
    fn a_large_part_is_streamed_last() {
        let sizes = [100, 100, 100, 100, 500];
        assert_eq!(
            Plan::new(&sizes, 700).unwrap().streamed,
            [true, true, true, true, false]
        );
        assert_eq!(Plan::new(&sizes, 650).unwrap().streamed, [true; 5]);
        assert_eq!(Plan::new(&sizes, 0).unwrap().streamed, [true; 5]);
        assert_eq!(least(&sizes), 600);
    }
}
