//! The planner's promises, as properties over models, devices and limits of all sizes.

use super::planner::*;
use proptest::prelude::*;

fn demands() -> impl Strategy<Value = Demands> {
    let layer = (0u64..60, 0u64..30).prop_map(|(weights, cache)| LayerDemand { weights, cache });
    (0u64..200, prop::collection::vec(layer, 0..12), 0u64..100).prop_map(
        |(vision, layers, output)| Demands {
            vision,
            layers,
            output,
        },
    )
}

fn room() -> impl Strategy<Value = Room> {
    let work = (0u64..40, 0u64..20, 0u64..60);
    (0u64..500, work, any::<bool>()).prop_map(|(budget, (layers, output, vision), takes_vision)| {
        Room {
            budget,
            work: Work {
                layers,
                output,
                vision,
            },
            takes_vision,
        }
    })
}

fn limits(n_rooms: usize) -> impl Strategy<Value = Limits> {
    let layers = prop_oneof![
        Just(GpuLayers::Auto),
        Just(GpuLayers::All),
        (0usize..14).prop_map(GpuLayers::Count)
    ];
    let vision = prop_oneof![
        Just(VisionPlace::Auto),
        Just(VisionPlace::Cpu),
        (0..n_rooms.max(1)).prop_map(VisionPlace::Device)
    ];
    let share = prop_oneof![Just(0.0), 0.1f64..5.0];
    let split = prop_oneof![Just(Vec::new()), prop::collection::vec(share, n_rooms)];
    (layers, vision, split).prop_map(move |(layers, vision, split)| Limits {
        layers,
        vision: match vision {
            VisionPlace::Device(_) if n_rooms == 0 => VisionPlace::Auto,
            vision => vision,
        },
        split: match split.iter().sum::<f64>() {
            0.0 => Vec::new(),
            _ => split,
        },
    })
}

/// A model, devices with limits, and how much more memory each device could have.
fn problem() -> impl Strategy<Value = (Demands, Vec<Room>, Limits, Vec<u64>)> {
    (0usize..4).prop_flat_map(|n| {
        (
            demands(),
            prop::collection::vec(room(), n),
            limits(n),
            prop::collection::vec(0u64..120, n),
        )
    })
}

fn n_offloaded(assignment: &Assignment) -> usize {
    assignment.layers.iter().flatten().count()
}

/// Bytes on device `d`, added up from the definition.
fn bytes_on(d: usize, demands: &Demands, room: &Room, assignment: &Assignment) -> u64 {
    let mut bytes = 0;
    let mut has_layers = false;
    for (i, place) in assignment.layers.iter().enumerate() {
        if *place == Some(d) {
            bytes += demands.layers[i].weights + demands.layers[i].cache;
            has_layers = true;
        }
    }
    if has_layers {
        bytes += room.work.layers;
    }
    if assignment.output == Some(d) {
        bytes += demands.output + room.work.output;
    }
    if assignment.vision == Some(d) {
        bytes += demands.vision + room.work.vision;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_device_gets_more_than_its_budget((demands, rooms, limits, _) in problem()) {
        let plan = assign(&demands, &rooms, &limits);
        let usage = usage(&demands, &rooms, &plan);
        for (d, room) in rooms.iter().enumerate() {
            let bytes = bytes_on(d, &demands, room, &plan);
            prop_assert!(bytes <= room.budget, "{bytes} on device {d} in {plan:?}");
            prop_assert_eq!(usage[d].total(), bytes);
        }
    }

    #[test]
    fn more_memory_never_means_fewer_layers((demands, rooms, limits, more) in problem()) {
        let mut larger = rooms.clone();
        for (room, more) in larger.iter_mut().zip(&more) {
            room.budget += more;
        }
        let before = assign(&demands, &rooms, &limits);
        let after = assign(&demands, &larger, &limits);
        prop_assert!(n_offloaded(&before) <= n_offloaded(&after), "{before:?}, then {after:?}");
    }

    #[test]
    fn layers_of_a_device_are_neighbours_and_the_last_are_on_the_first(
        (demands, rooms, limits, _) in problem()
    ) {
        let plan = assign(&demands, &rooms, &limits);
        prop_assert_eq!(plan.layers.len(), demands.layers.len());
        let order: Vec<usize> = plan.layers.iter().map(|d| d.unwrap_or(rooms.len())).collect();
        prop_assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    }

    #[test]
    fn limits_are_kept((demands, rooms, limits, _) in problem()) {
        let plan = assign(&demands, &rooms, &limits);
        if let GpuLayers::Count(limit) = limits.layers {
            prop_assert!(n_offloaded(&plan) <= limit);
        }
        match limits.vision {
            VisionPlace::Cpu => prop_assert_eq!(plan.vision, None),
            VisionPlace::Device(d) => prop_assert!(plan.vision.is_none_or(|place| place == d)),
            VisionPlace::Auto => {
                prop_assert!(plan.vision.is_none_or(|place| rooms[place].takes_vision));
            }
        }
        if !limits.split.is_empty() {
            let n = n_offloaded(&plan) as f64;
            let total: f64 = limits.split.iter().sum();
            for (d, share) in limits.split.iter().enumerate() {
                let got = plan.layers.iter().filter(|&&place| place == Some(d)).count() as f64;
                prop_assert!((got - n * share / total).abs() <= 1.0, "{got} layers on {d}");
            }
        }
    }

    #[test]
    fn with_enough_memory_everything_leaves_the_cpu((demands, mut rooms, limits, _) in problem()) {
        for room in &mut rooms {
            room.budget = 1_000_000;
        }
        let plan = assign(&demands, &rooms, &limits);
        if !rooms.is_empty() && limits.layers != GpuLayers::Count(0) {
            let wanted = match limits.layers {
                GpuLayers::Count(limit) => limit.min(demands.layers.len()),
                _ => demands.layers.len(),
            };
            prop_assert_eq!(n_offloaded(&plan), wanted);
            prop_assert!(plan.output.is_some());
            prop_assert_eq!(
                plan.vision.is_some(),
                match limits.vision {
                    VisionPlace::Auto => rooms.iter().any(|room| room.takes_vision),
                    VisionPlace::Cpu => false,
                    VisionPlace::Device(_) => true,
                }
            );
        }
    }
}

/// Four layers of 100 bytes with 20 of cache, a tower of 300, an output of 50.
fn model() -> Demands {
    let layer = LayerDemand {
        weights: 100,
        cache: 20,
    };
    Demands {
        vision: 300,
        layers: vec![layer; 4],
        output: 50,
    }
}

fn gpu(budget: u64) -> Room {
    Room {
        budget,
        work: Work {
            layers: 30,
            output: 5,
            vision: 40,
        },
        takes_vision: true,
    }
}

#[test]
fn the_vision_tower_comes_first_then_the_output_then_the_last_layers() {
    let plan = |budget| assign(&model(), &[gpu(budget)], &Limits::default());
    let small = plan(340);
    assert_eq!(
        (small.vision, small.output, n_offloaded(&small)),
        (Some(0), None, 0)
    );
    let more = plan(395);
    assert_eq!(
        (more.vision, more.output, n_offloaded(&more)),
        (Some(0), Some(0), 0)
    );
    let half = plan(395 + 30 + 240);
    assert_eq!(half.layers, [None, None, Some(0), Some(0)]);
    let all = plan(395 + 30 + 480);
    assert_eq!(n_offloaded(&all), 4);
}

#[test]
fn several_small_devices_hold_what_none_of_them_could() {
    let rooms = [gpu(200), gpu(200), gpu(300)].map(|room| Room {
        takes_vision: false,
        ..room
    });
    let plan = assign(&model(), &rooms, &Limits::default());
    assert_eq!(plan.output, Some(0));
    assert_eq!(plan.layers, [None, Some(2), Some(2), Some(1)]);
}

#[test]
fn a_number_of_layers_goes_before_the_tower() {
    let limits = Limits {
        layers: GpuLayers::Count(2),
        ..Limits::default()
    };
    let plan = |budget| assign(&model(), &[gpu(budget)], &limits);
    let small = plan(30 + 240);
    assert_eq!(
        (small.vision, small.output, n_offloaded(&small)),
        (None, None, 2)
    );
    let large = plan(30 + 240 + 55 + 340);
    assert_eq!(
        (large.vision, large.output, n_offloaded(&large)),
        (Some(0), Some(0), 2)
    );
}

#[test]
fn a_split_is_a_proportion() {
    let limits = Limits {
        split: vec![1.0, 3.0],
        vision: VisionPlace::Cpu,
        ..Limits::default()
    };
    let plan = assign(&model(), &[gpu(1000), gpu(1000)], &limits);
    assert_eq!(plan.layers, [Some(1), Some(1), Some(1), Some(0)]);
}
