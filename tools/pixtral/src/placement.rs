//! Where the parts of a model go: the arguments that say so, and a plan as a table and as JSON.

use clap::Args;
use pixtral::{
    Result,
    ggml::CancelFlag,
    runtime::{
        Decoder, DecoderOptions, Model, PlacementOptions, Placer, Plan,
        placement::{DeviceChoice, GpuLayers},
    },
    session::{Event, Session, SessionOptions},
};
use pixtral_server::{Server, ServerOptions};
use pixtral_terminal::{Interrupt, Table, noteln, out, outln, progress::ByteProgress, units};
use std::{fmt, sync::Arc};

/// What is said while it happens.
const MOVING: &str = "moving weights to devices";

/// Which devices compute what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Devices")]
pub struct PlacementArgs {
    /// Devices to use beside the CPU, the preferred one first: names that `pixtral devices` lists,
    /// rpc:HOST:PORT for a worker, cpu for none; NAME=SIZE limits the memory, as cuda0=6GiB
    /// [default: all graphics processors of this machine]
    #[arg(long = "device", value_name = "LIST", value_delimiter = ',')]
    devices: Vec<DeviceChoice>,
    /// Decoder layers to move to them: a number, all, or auto: as many as fit, after the vision tower
    /// and the output
    #[arg(long, value_name = "N", default_value = "auto")]
    gpu_layers: GpuLayers,
    /// In which proportion the devices share these layers, as 3,1 [default: one device is filled
    /// after the other]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tensor_split: Vec<f64>,
    /// Device for the vision tower, which may be cpu [default: the first with room for it that is
    /// not on another machine]
    #[arg(long, value_name = "NAME")]
    vision_device: Option<String>,
}

impl PlacementArgs {
    pub fn options(&self) -> PlacementOptions {
        PlacementOptions {
            devices: (!self.devices.is_empty()).then(|| self.devices.clone()),
            gpu_layers: self.gpu_layers,
            tensor_split: self.tensor_split.clone(),
            vision_device: self.vision_device.as_ref().map(|name| name.to_lowercase()),
        }
    }
}

/// Whether only the plan is wanted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Devices")]
pub struct PlanArgs {
    /// Print where the parts of the model would go, and stop
    #[arg(long = "plan-only")]
    pub wanted: bool,
}

/// Prints where the parts of `model` would go in a session set up by `options`.
pub fn show_plan(model: &Model, options: &SessionOptions, as_json: bool) -> Result<()> {
    let placer = Placer::new(options.placement.clone())?;
    let plan = placer.plan(model, &options.decoder(model))?;
    match as_json {
        true => outln!("{}", plan.to_json()),
        false => out!("{}", PlanTable(&plan)),
    }
}

/// A session, with a progress bar while weights are moved to devices, and a line about where they
/// are if that is not the CPU alone.
pub fn start(model: Arc<Model>, options: SessionOptions, interrupt: &Interrupt) -> Result<Session> {
    let mut bar = ByteProgress::default();
    let flag = CancelFlag::default();
    let session = interrupt.during(flag.clone(), || {
        Session::start(model, options, &mut |event| {
            if let Event::Placing { done, total } = event {
                bar.at(done, total, MOVING);
            }
            flag.flow()
        })
    })?;
    drop(bar);
    report(session.plan());
    Ok(session)
}

/// A server, likewise.
pub fn start_server(
    model: Arc<Model>,
    options: ServerOptions,
    interrupt: &Interrupt,
) -> Result<Server> {
    let mut bar = ByteProgress::default();
    let flag = CancelFlag::default();
    let server = interrupt.during(flag.clone(), || {
        Server::new(model, options, &mut |event| {
            if let Event::Placing { done, total } = event {
                bar.at(done, total, MOVING);
            }
            flag.flow()
        })
    })?;
    drop(bar);
    report(server.plan());
    Ok(server)
}

/// A decoder on the devices that `placement` names, with a progress bar while weights are moved there.
pub fn place(
    model: &Arc<Model>,
    placement: PlacementOptions,
    options: &DecoderOptions,
    interrupt: &Interrupt,
) -> Result<Decoder> {
    let mut bar = ByteProgress::default();
    let flag = CancelFlag::default();
    let decoder = interrupt.during(flag.clone(), || {
        Placer::new(placement)?.decoder(model, options, &CancelFlag::default(), &mut |at| {
            bar.at(at.done, at.total, MOVING);
            flag.flow()
        })
    })?;
    drop(bar);
    report(decoder.plan());
    Ok(decoder)
}

/// Tells on standard error what a plan has moved and what it could not.
fn report(plan: &Plan) {
    for note in &plan.notes {
        noteln!("{note}");
    }
    for (d, device) in plan.devices.iter().enumerate() {
        let parts = parts(plan, d);
        if d != plan.cpu_index() && !parts.is_empty() {
            let used = units::bytes(device.usage.total());
            noteln!("on {}: {parts} ({used})", device.name);
        }
    }
}

/// A plan for people.
struct PlanTable<'a>(&'a Plan);

impl fmt::Display for PlanTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.0;
        let mut table = Table::new(&[
            "device",
            "takes",
            ">weights",
            ">cache",
            ">working",
            "of its memory",
        ]);
        for (d, device) in plan.devices.iter().enumerate() {
            let most = device.budget.unwrap_or(device.memory.free);
            let total = device.usage.total();
            table.row(vec![
                device.name.clone(),
                parts(plan, d),
                units::bytes(device.usage.weights),
                units::bytes(device.usage.cache),
                units::bytes(device.usage.work),
                format!(
                    "{} {} of {}",
                    bar(total, most),
                    units::bytes(total),
                    units::bytes(most)
                ),
            ]);
        }
        write!(f, "{table}")?;
        plan.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// What device `d` takes: `vision, layers 12–39, output`.
fn parts(plan: &Plan, d: usize) -> String {
    let mut parts = Vec::new();
    if plan.vision == d {
        parts.push("vision".to_owned());
    }
    if plan.embedding == d {
        parts.push("embedding".to_owned());
    }
    let first = plan.layers.iter().position(|&place| place == d);
    let last = plan.layers.iter().rposition(|&place| place == d);
    match (first, last) {
        (Some(first), Some(last)) if first == last => parts.push(format!("layer {first}")),
        (Some(first), Some(last)) => parts.push(format!("layers {first}–{last}")),
        _ => {}
    }
    if plan.output == d {
        parts.push("output".to_owned());
    }
    parts.join(", ")
}

/// `used` of `most` as a bar of 20 cells.
fn bar(used: u64, most: u64) -> String {
    const CELLS: usize = 20;
    let share = match most {
        0 => 0.0,
        _ => (used as f64 / most as f64).min(1.0),
    };
    let full = (share * CELLS as f64).round() as usize;
    "█".repeat(full) + &"░".repeat(CELLS - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_full_as_the_memory() {
        assert_eq!(bar(0, 10), "░".repeat(20));
        assert_eq!(bar(5, 10), "█".repeat(10) + &"░".repeat(10));
        assert_eq!(bar(11, 10), "█".repeat(20));
        assert_eq!(bar(1, 0), "░".repeat(20));
    }

    #[test]
    fn parts_are_listed_in_the_order_of_the_model() {
        let plan = Plan {
            devices: Vec::new(),
            vision: 0,
            embedding: 1,
            layers: vec![1, 0, 0],
            output: 0,
            notes: Vec::new(),
        };
        assert_eq!(parts(&plan, 0), "vision, layers 1–2, output");
        assert_eq!(parts(&plan, 1), "embedding, layer 0");
        assert_eq!(parts(&plan, 2), "");
    }
}
