//! `pixtral worker`: offers this machine's memory and processor to `pixtral` on another one.

use clap::Args;
use etcetera::BaseStrategy;
use pixtral::{
    Error, ErrorKind, Result,
    ggml::{CancelFlag, Device, DeviceKind, Server, ServerEvent, ServerOptions},
    runtime::{Bytes, performance_cores},
};
use pixtral_terminal::{Interrupt, outln, units};
use std::path::PathBuf;

/// Compute for pixtral on another machine
#[derive(Args, Debug)]
#[command(
    after_help = "The other machine names this one with --device rpc:HOST:PORT. The protocol has \
neither passwords nor encryption, so a worker listens to its own machine only; reach it from another \
through a tunnel:
  ssh -N -L 50052:127.0.0.1:50052 board &
  pixtral describe pixtral-12b-q4_k.gguf photo.jpg --device rpc:127.0.0.1:50052

Examples:
  pixtral worker
  pixtral worker --listen 127.0.0.1:50053 --memory 3GiB --threads 4"
)]
pub struct WorkerArgs {
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50052")]
    listen: String,
    /// What to compute on, as `pixtral devices` lists it [default: the first graphics processor, or
    /// the CPU]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Most memory that clients get, such as 3GiB [default: 7/8 of what is free now]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Threads to compute with on a CPU [default: the physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Keep no weights for other times
    #[arg(long)]
    no_cache: bool,
    /// Folder that keeps them [default: pixtral-worker in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Most bytes in that folder
    #[arg(long, value_name = "SIZE", default_value = "16GiB")]
    cache_size: Bytes,
    /// Listen at an address that other machines can reach: whoever does can use this machine and read
    /// along
    #[arg(long)]
    insecure: bool,
}

/// Runs the command until it is interrupted.
pub fn run(args: &WorkerArgs, interrupt: &Interrupt) -> Result<()> {
    let device = args.device()?;
    let free = device.memory()?.free;
    let memory = args
        .memory
        .map_or(free - free / 8, |limit| limit.0.min(free));
    let cache_dir = args.cache_dir();
    let server = Server::bind(
        &args.listen,
        ServerOptions {
            n_threads: args.threads.map_or_else(performance_cores, |n| n as usize),
            memory,
            cache_dir: cache_dir.clone(),
            cache_bytes: args.cache_size.0,
            insecure: args.insecure,
            device: device.clone(),
        },
    )?;
    outln!(
        "listening at {}: {} of memory on {} ({}), weights {}",
        server.address(),
        units::bytes(memory),
        device.name(),
        device.description(),
        match &cache_dir {
            Some(folder) => format!("kept in {}", folder.display()),
            None => "not kept".to_owned(),
        }
    )?;
    let stop = CancelFlag::default();
    let mut output = Ok(());
    interrupt.during(stop.clone(), || {
        server.run(&stop, &mut |event| {
            output = outln!("{}", describe(&event, server.used_memory()));
            if output.is_err() {
                stop.cancel();
            }
        })
    })?;
    output
}

fn describe(event: &ServerEvent, used: u64) -> String {
    let used = units::bytes(used);
    match event {
        ServerEvent::Connected { client } => format!("{client} has come; {used} in use"),
        ServerEvent::Left {
            client,
            stayed,
            failure,
        } => {
            let stayed = units::duration(*stayed);
            match failure {
                Some(why) => format!("{client} was sent away after {stayed}: {why}; {used} in use"),
                None => format!("{client} has left after {stayed}; {used} in use"),
            }
        }
        _ => String::new(),
    }
}

impl WorkerArgs {
    fn device(&self) -> Result<Device> {
        let local = Device::local()?;
        let found = match &self.device {
            Some(name) => {
                let name = name.to_lowercase();
                local.iter().find(|device| device.name() == name)
            }
            None => {
                let gpu = local.iter().find(|device| device.kind() == DeviceKind::Gpu);
                gpu.or_else(|| local.iter().find(|device| device.kind() == DeviceKind::Cpu))
            }
        };
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = local.iter().map(Device::name).collect();
            Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "there is no device {} here, only {}",
                    self.device.as_deref().unwrap_or_default(),
                    names.join(", ")
                ),
            )
        })
    }

    /// The folder for weights, unless none is wanted or the system names none.
    fn cache_dir(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        self.cache_dir.clone().or_else(|| {
            let system = etcetera::choose_base_strategy().ok()?;
            Some(system.cache_dir().join("pixtral-worker"))
        })
    }
}
