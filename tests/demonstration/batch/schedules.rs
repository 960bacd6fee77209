//! Whoever comes and goes, and however much a step reads: whoever stays gets the answer that it has alone.

use super::{
    super::support::model, Batch, Duration, Model, Request, Running, options, requests, step,
};
use pixtral::session::{AnswerId, Finish};
use proptest::{prelude::*, test_runner::TestRunner};
use std::sync::Arc;

/// Something that happens to a batch.
#[derive(Clone, Debug)]
enum Act {
    /// This request begins, if there is room.
    Begin(usize),
    /// The client of this answer, counted among those running, goes away.
    Leave(usize),
    /// So many steps.
    Step(usize),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<usize>().prop_map(Act::Begin),
        1 => any::<usize>().prop_map(Act::Leave),
        4 => (1usize..12).prop_map(Act::Step),
    ]
}

fn act_all(model: &Arc<Model>, requests: &[Request], step_time: Duration, acts: &[Act]) {
    let mut options = options(2048);
    options.step_time = step_time;
    let mut batch = Batch::new(model.clone(), options).unwrap();
    let mut running = Running::new();
    let (mut n_begun, mut n_left, mut n_answered) = (0, 0, 0);
    for act in acts {
        match act {
            Act::Begin(i) => {
                let request = &requests[i % requests.len()];
                assert_eq!(batch.n_free(), batch.n_sequences() - running.len());
                if batch.n_free() > 0 {
                    let id = request.begin(&mut batch).unwrap();
                    running.insert(id, (request, String::new()));
                    n_begun += 1;
                }
            }
            Act::Leave(i) => {
                let mut ids: Vec<AnswerId> = running.keys().copied().collect();
                ids.sort();
                if let Some(id) = ids.get(i % ids.len().max(1)) {
                    let (request, streamed) = running.remove(id).unwrap();
                    let answer = batch.cancel(*id).unwrap();
                    assert_eq!(answer.finish, Finish::Cancelled);
                    assert_eq!(answer.text, streamed);
                    assert!(request.alone.ids.starts_with(&answer.ids));
                    n_left += 1;
                }
            }
            Act::Step(n) => {
                for _ in 0..*n {
                    n_answered += step(&mut batch, &mut running);
                }
            }
        }
    }
    let mut n_steps = 0;
    while !batch.is_idle() {
        n_answered += step(&mut batch, &mut running);
        n_steps += 1;
        assert!(n_steps < 10_000, "no end");
    }
    assert_eq!(n_begun, n_left + n_answered);
}

#[test]
fn no_schedule_changes_or_loses_an_answer() {
    let model = model("f32");
    let requests = requests(&model);
    let config = ProptestConfig {
        cases: 12,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let step_time = prop::sample::select(vec![0, 1, 5, 50]).prop_map(Duration::from_millis);
    let schedules = (step_time, prop::collection::vec(any_act(), 10..60));
    TestRunner::new(config)
        .run(&schedules, |(step_time, acts)| {
            act_all(&model, &requests, step_time, &acts);
            Ok(())
        })
        .unwrap();
}
