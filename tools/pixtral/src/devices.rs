//! `pixtral devices`: what a model can be placed on.

use clap::Args;
use pixtral::{
    Result,
    ggml::{Device, loaded_backends},
    runtime::placement::device_json,
};
use pixtral_terminal::{Table, noteln, out, outln, units};
use serde_json::Value;

/// List the devices that a model can be placed on
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pixtral devices
  pixtral devices --worker 127.0.0.1:50052 --worker 127.0.0.1:50053")]
pub struct DevicesArgs {
    /// Address of a worker whose devices are listed too; may be given several times
    #[arg(long = "worker", value_name = "HOST:PORT")]
    workers: Vec<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &DevicesArgs) -> Result<()> {
    let mut devices = Device::local()?;
    for address in &args.workers {
        let address = address.strip_prefix("rpc:").unwrap_or(address);
        devices.extend(Device::connect(address)?);
    }
    for backend in loaded_backends() {
        if let Err(why) = &backend.outcome {
            noteln!("{} is not used: {why}", backend.path.display());
        }
    }
    match args.json {
        true => {
            let list = devices
                .iter()
                .map(device_json)
                .collect::<Result<Vec<_>>>()?;
            outln!("{}", Value::from(list))
        }
        false => out!("{}", table(&devices)?),
    }
}

fn table(devices: &[Device]) -> Result<Table> {
    let mut table = Table::new(&["device", "kind", ">free", ">total", "description"]);
    for device in devices {
        let memory = device.memory()?;
        table.row(vec![
            device.name().to_owned(),
            device.kind().to_string(),
            units::bytes(memory.free),
            units::bytes(memory.total),
            device.description().to_owned(),
        ]);
    }
    Ok(table)
}
