//! The planner: which device takes which part of a model. A pure function of sizes and limits,
//! which knows neither models nor devices.
//!
//! What it promises (and property tests hold it to): no device gets more than its budget; more
//! memory never means fewer decoder layers; limits are kept; layers of one device are neighbours, the
//! last ones on the first device, and what no device takes stays on the CPU.

/// Bytes that the parts of a model need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Weights of the vision tower and projector.
    pub vision: u64,
    /// Weights of the decoder layers, first to last, and their keys and values.
    pub layers: Vec<LayerDemand>,
    /// Weights of the final norm and the output matrix.
    pub output: u64,
}

/// Bytes that a decoder layer needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerDemand {
    /// Its weights.
    pub weights: u64,
    /// Its part of the key-value cache.
    pub cache: u64,
}

/// What a device other than the CPU offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Most bytes to use.
    pub budget: u64,
    /// Working memory that it needs.
    pub work: Work,
    /// Whether the vision tower may go there unasked.
    pub takes_vision: bool,
}

/// Bytes of working memory that a device needs for what it has to do, whatever the number of layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// For decoder layers.
    pub layers: u64,
    /// For the output, besides.
    pub output: u64,
    /// For the vision tower, besides.
    pub vision: u64,
}

/// How many decoder layers leave the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuLayers {
    /// The vision tower first, then the output, then as many layers as fit.
    #[default]
    Auto,
    /// As many as fit but not more than this; then the output, then the vision tower.
    Count(usize),
    /// The same without a limit.
    All,
}

/// Where the vision tower goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VisionPlace {
    /// To a device that takes it.
    #[default]
    Auto,
    /// To the CPU.
    Cpu,
    /// To this device, if it fits.
    Device(usize),
}

/// What somebody has decided already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Layers that leave the CPU.
    pub layers: GpuLayers,
    /// The vision tower.
    pub vision: VisionPlace,
    /// In which proportion the devices share these layers, a number for each; empty to fill one
    /// device after the other.
    pub split: Vec<f64>,
}

/// Which device takes what: an index into the rooms, or `None` for the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The vision tower and projector.
    pub vision: Option<usize>,
    /// Each decoder layer, first to last.
    pub layers: Vec<Option<usize>>,
    /// The final norm and the output matrix.
    pub output: Option<usize>,
}

/// What a device gets of an assignment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Weights.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// Working memory.
    pub work: u64,
}

impl Usage {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.work
    }
}

/// Decides where the parts of a model with `demands` go.
pub fn assign(demands: &Demands, rooms: &[Room], limits: &Limits) -> Assignment {
    let planner = Planner {
        demands,
        rooms,
        limits,
    };
    let budgets: Vec<u64> = rooms.iter().map(|room| room.budget).collect();
    let (first, later): (&[Item], &[Item]) = match (limits.layers, limits.vision) {
        (GpuLayers::Auto, _) => (&[Item::Vision, Item::Output], &[]),
        (_, VisionPlace::Device(_)) => (&[Item::Vision], &[Item::Output]),
        _ => (&[], &[Item::Output, Item::Vision]),
    };
    let mut choice = planner.choose(first, &budgets);
    let counts = planner.share_out(&planner.left(&choice, &budgets, &[]), choice.n_layers);
    for &item in later {
        let left = planner.left(&choice, &budgets, &counts);
        let fits = |&d: &usize| planner.takes(d, item) && left[d] >= planner.need(d, item);
        *choice.place_of(item) = (0..rooms.len()).find(fits);
    }
    let mut layers = vec![None; demands.layers.len()];
    let mut next = layers.len();
    for (d, &n) in counts.iter().enumerate() {
        layers[next - n..next].fill(Some(d));
        next -= n;
    }
    Assignment {
        vision: choice.vision,
        layers,
        output: choice.output,
    }
}

/// What each device gets of `assignment`.
pub fn usage(demands: &Demands, rooms: &[Room], assignment: &Assignment) -> Vec<Usage> {
    let mut usage = vec![Usage::default(); rooms.len()];
    for (layer, &place) in demands.layers.iter().zip(&assignment.layers) {
        if let Some(d) = place {
            usage[d].weights += layer.weights;
            usage[d].cache += layer.cache;
        }
    }
    for (d, usage) in usage.iter_mut().enumerate() {
        let work = rooms[d].work;
        if assignment.layers.contains(&Some(d)) {
            usage.work += work.layers;
        }
        if assignment.output == Some(d) {
            usage.weights += demands.output;
            usage.work += work.output;
        }
        if assignment.vision == Some(d) {
            usage.weights += demands.vision;
            usage.work += work.vision;
        }
    }
    usage
}

/// A part that is not a decoder layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Vision,
    Output,
}

/// Places of the other parts, and how many layers then leave the CPU.
#[derive(Clone, Copy, Default)]
struct Choice {
    vision: Option<usize>,
    output: Option<usize>,
    n_layers: usize,
}

impl Choice {
    fn place_of(&mut self, item: Item) -> &mut Option<usize> {
        match item {
            Item::Vision => &mut self.vision,
            Item::Output => &mut self.output,
        }
    }
}

struct Planner<'a> {
    demands: &'a Demands,
    rooms: &'a [Room],
    limits: &'a Limits,
}

impl Planner<'_> {
    /// Places `items` one after the other where `free` has room for them, so that most layers fit
    /// beside them.
    ///
    /// If one fits nowhere, the layers get its place, but no more of them than would be left if the
    /// device that it is just too large for were large enough: otherwise a little more memory, by
    /// which it does fit, would mean fewer layers.
    fn choose(&self, items: &[Item], free: &[u64]) -> Choice {
        let Some((&item, rest)) = items.split_first() else {
            return Choice {
                n_layers: self.most_layers(free, self.demands.layers.len()),
                ..Choice::default()
            };
        };
        let with = |d: usize, free: &[u64]| {
            let mut left = free.to_vec();
            left[d] -= self.need(d, item);
            let mut choice = self.choose(rest, &left);
            *choice.place_of(item) = Some(d);
            choice
        };
        let takers: Vec<usize> = (0..self.rooms.len())
            .filter(|&d| self.takes(d, item))
            .collect();
        let fitting = takers.iter().filter(|&&d| free[d] >= self.need(d, item));
        // Of equal ones the first device, which is the last maximum of the reversed order.
        let best = fitting.rev().map(|&d| with(d, free));
        if let Some(choice) = best.max_by_key(|choice| choice.n_layers) {
            return choice;
        }
        let mut choice = self.choose(rest, free);
        let if_it_fitted = takers.into_iter().map(|d| {
            let mut larger = free.to_vec();
            larger[d] = self.need(d, item);
            with(d, &larger).n_layers
        });
        let most = if_it_fitted.fold(choice.n_layers, usize::min);
        choice.n_layers = self.most_layers(&self.left(&choice, free, &[]), most);
        choice
    }

    fn takes(&self, d: usize, item: Item) -> bool {
        match (item, self.limits.vision) {
            (Item::Output, _) => self.limits.layers != GpuLayers::Count(0),
            (Item::Vision, VisionPlace::Cpu) => false,
            (Item::Vision, VisionPlace::Device(wanted)) => d == wanted,
            (Item::Vision, VisionPlace::Auto) => {
                self.rooms[d].takes_vision && self.limits.layers != GpuLayers::Count(0)
            }
        }
    }

    /// Bytes that `item` takes of device `d`.
    fn need(&self, d: usize, item: Item) -> u64 {
        let work = self.rooms[d].work;
        match item {
            Item::Vision => self.demands.vision + work.vision,
            Item::Output => self.demands.output + work.output,
        }
    }

    /// Bytes that are left of `budgets` beside what `choice` places and `counts` layers a device.
    fn left(&self, choice: &Choice, budgets: &[u64], counts: &[usize]) -> Vec<u64> {
        let mut left = budgets.to_vec();
        for (item, place) in [(Item::Vision, choice.vision), (Item::Output, choice.output)] {
            if let Some(d) = place {
                left[d] -= self.need(d, item);
            }
        }
        let mut next = self.demands.layers.len();
        for (d, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            left[d] -= self.rooms[d].work.layers + self.bytes(next - n..next);
            next -= n;
        }
        left
    }

    /// Most layers, up to `most`, that `free` has room for and the limits allow.
    fn most_layers(&self, free: &[u64], most: usize) -> usize {
        let limit = match self.limits.layers {
            GpuLayers::Auto | GpuLayers::All => most,
            GpuLayers::Count(limit) => limit.min(most),
        };
        match self.limits.split.is_empty() {
            true => self.fill(free, limit).iter().sum(),
            false => (0..=limit)
                .rev()
                .find(|&n| self.fits(&self.proportions(n), free))
                .unwrap_or(0),
        }
    }

    /// How many of the last `n` layers each device gets, which have room in `free`.
    fn share_out(&self, free: &[u64], n: usize) -> Vec<usize> {
        match self.limits.split.is_empty() {
            true => self.fill(free, n),
            false => self.proportions(n),
        }
    }

    /// Fills one device after the other, from the last layer down, with at most `limit` layers.
    fn fill(&self, free: &[u64], limit: usize) -> Vec<usize> {
        let n = self.demands.layers.len();
        let mut next = n;
        let fill_one = |(room, &free): (&Room, &u64)| {
            let before = next;
            let Some(mut left) = free.checked_sub(room.work.layers) else {
                return 0;
            };
            while next > n - limit {
                let Some(rest) = left.checked_sub(self.bytes(next - 1..next)) else {
                    break;
                };
                left = rest;
                next -= 1;
            }
            before - next
        };
        self.rooms.iter().zip(free).map(fill_one).collect()
    }

    /// `n` layers in the wanted proportion.
    fn proportions(&self, n: usize) -> Vec<usize> {
        let total: f64 = self.limits.split.iter().sum();
        let mut share = 0.0;
        let mut given = 0;
        let give = |part: &f64| {
            share += part;
            let until = ((n as f64 * share / total).round() as usize).clamp(given, n);
            until - std::mem::replace(&mut given, until)
        };
        self.limits.split.iter().map(give).collect()
    }

    fn fits(&self, counts: &[usize], free: &[u64]) -> bool {
        let mut next = self.demands.layers.len();
        counts.iter().enumerate().all(|(d, &n)| {
            next -= n;
            n == 0 || self.rooms[d].work.layers + self.bytes(next..next + n) <= free[d]
        })
    }

    fn bytes(&self, layers: std::ops::Range<usize>) -> u64 {
        let layers = &self.demands.layers[layers];
        layers.iter().map(|l| l.weights + l.cache).sum()
    }
}
