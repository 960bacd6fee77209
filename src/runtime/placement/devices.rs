//! The devices that a user names, found and with a budget each.

use super::planner::GpuLayers;
use crate::{
    Error, ErrorKind, Result,
    ggml::{Device, DeviceKind, Memory},
    runtime::Bytes,
};
use std::{fmt, str::FromStr};

/// What is left alone of a graphics processor's memory: drivers and other programs take some while
/// we compute.
const RESERVE: u64 = 256 << 20;

/// Tokens of a batch that suit a graphics processor.
const GPU_UBATCH: usize = 2048;

/// Least memory of a graphics processor for such batches, which take 0.7 GiB more of it than usual ones
/// with Pixtral-12B.
const GPU_UBATCH_MEMORY: u64 = 4 << 30;

/// What a user decides about placement. The default leaves all to the planner, which takes the
/// graphics processors of this machine, if there are any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacementOptions {
    /// Devices beside the CPU, in order of preference; `None` takes all graphics processors of this
    /// machine, an empty list none.
    pub devices: Option<Vec<DeviceChoice>>,
    /// How many decoder layers leave the CPU.
    pub gpu_layers: GpuLayers,
    /// In which proportion the devices share these layers, a number for each; empty to fill one
    /// device after the other.
    pub tensor_split: Vec<f64>,
    /// Name of the device for the vision tower, which may be `cpu`; `None` lets the planner choose.
    /// Unasked it does not go to other machines.
    pub vision_device: Option<String>,
}

impl PlacementOptions {
    /// The CPU alone, whatever else there is.
    pub fn cpu() -> Self {
        Self {
            devices: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Tokens of a batch that suit the devices: `usual` many, or 2048 if there is a graphics processor
    /// of this machine with 4 GiB to use. It computes larger batches faster, and weights that it has
    /// no room for are copied to it once for each batch.
    pub fn suitable_ubatch(&self, usual: usize) -> usize {
        let suits = |memory: u64| memory >= GPU_UBATCH_MEMORY;
        let wanted = |device: &Device| match &self.devices {
            None => true,
            Some(choices) => (choices.iter().filter(|choice| choice.name == device.name()))
                .any(|choice| choice.memory.is_none_or(suits)),
        };
        let fits = |device: &Device| device.memory().is_ok_and(|memory| suits(memory.free));
        let is_gpu = |device: &&Device| device.kind().is_graphics_processor();
        let devices = match self.gpu_layers {
            GpuLayers::Count(0) => Vec::new(),
            _ => Device::local().unwrap_or_default(),
        };
        match devices.iter().filter(is_gpu).any(|d| wanted(d) && fits(d)) {
            true => usual.max(GPU_UBATCH),
            false => usual,
        }
    }
}

/// A device by name, and how much of it may be used: `cuda0`, `cuda1=6GiB`,
/// `rpc:192.168.1.5:50052`, `cpu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceChoice {
    /// As [`Device::name`] gives it. `rpc:HOST:PORT` stands for all devices of the worker that
    /// listens there.
    pub name: String,
    /// Most bytes to use; `None` for what is free.
    pub memory: Option<u64>,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, memory) = match text.split_once('=') {
            Some((name, size)) => (name, Some(size.parse::<Bytes>()?.0)),
            None => (text, None),
        };
        if name.trim().is_empty() {
            return Err(invalid(format!(
                "device {text:?} has no name, expected NAME or NAME=SIZE, such as cuda0=6GiB"
            )));
        }
        Ok(Self {
            name: name.trim().to_lowercase(),
            memory,
        })
    }
}

impl FromStr for GpuLayers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            _ => text
                .parse()
                .map(Self::Count)
                .map_err(|_| invalid(format!("{text:?} layers, expected auto, all or a number"))),
        }
    }
}

impl fmt::Display for GpuLayers {
    /// The text that `from_str` reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::All => f.pad("all"),
            Self::Count(n) => n.fmt(f),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// A device that may be used.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) device: Device,
    pub(super) memory: Memory,
    /// Most bytes to use.
    pub(super) budget: u64,
}

impl Candidate {
    fn new(device: Device, limit: Option<u64>) -> Result<Self> {
        let memory = device.memory()?;
        let reserve = match device.kind() {
            // A worker says what it gives.
            DeviceKind::Remote => 0,
            _ => RESERVE,
        };
        let free = memory.free.saturating_sub(reserve);
        Ok(Self {
            budget: limit.map_or(free, |limit| limit.min(free)),
            device,
            memory,
        })
    }

    /// Whether the vision tower may go there unasked. Another machine is rarely faster than this one,
    /// and never needed to have room for it.
    pub(super) fn takes_vision(&self) -> bool {
        self.device.kind() != DeviceKind::Remote
    }

    /// The devices that `options` name, connected to.
    pub(super) fn find(options: &PlacementOptions) -> Result<Vec<Self>> {
        if options.gpu_layers == GpuLayers::Count(0) && options.vision_device.is_none() {
            return Ok(Vec::new());
        }
        let found = match &options.devices {
            None => Device::local()?
                .into_iter()
                .filter(|device| device.kind().is_graphics_processor())
                .map(|device| Self::new(device, None))
                .collect::<Result<Vec<_>>>()?,
            Some(choices) => {
                let mut found = Vec::new();
                for choice in choices {
                    for device in named(&choice.name)? {
                        found.push(Self::new(device, choice.memory)?);
                    }
                }
                found
            }
        };
        for (i, candidate) in found.iter().enumerate() {
            let name = candidate.device.name();
            if found[..i].iter().any(|other| other.device.name() == name) {
                return Err(invalid(format!("device {name} is named twice")));
            }
        }
        Ok(found)
    }
}

/// The devices of a name; none for the CPU, which is always used.
fn named(name: &str) -> Result<Vec<Device>> {
    if name == "cpu" {
        return Ok(Vec::new());
    }
    if let Some(address) = name.strip_prefix("rpc:") {
        return Device::connect(address);
    }
    let local = Device::local()?;
    let usable = |device: &&Device| device.kind() != DeviceKind::Accelerator;
    if let Some(device) = local.iter().filter(usable).find(|d| d.name() == name) {
        return Ok(vec![device.clone()]);
    }
    let names: Vec<&str> = local.iter().filter(usable).map(Device::name).collect();
    Err(invalid(format!(
        "there is no device {name} here, only {}; devices of other machines are named rpc:HOST:PORT",
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_names_with_or_without_a_size() {
        let choice = |text: &str| text.parse::<DeviceChoice>().unwrap();
        assert_eq!(choice("CUDA0").name, "cuda0");
        assert_eq!(choice("cuda0=1.5GiB").memory, Some(3 << 29));
        let worker = choice("rpc:[::1]:50052=512M");
        assert_eq!(
            (worker.name.as_str(), worker.memory),
            ("rpc:[::1]:50052", Some(512 << 20))
        );
        for bad in ["", "=1G", "cuda0=", "cuda0=many", "cuda0=1X", "cuda0=-1G"] {
            let error = bad.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn numbers_of_layers_are_read_as_they_are_written() {
        for layers in [GpuLayers::Auto, GpuLayers::All, GpuLayers::Count(12)] {
            assert_eq!(layers.to_string().parse::<GpuLayers>().unwrap(), layers);
        }
        assert!("-1".parse::<GpuLayers>().is_err());
    }

    #[test]
    fn without_a_graphics_processor_batches_are_the_usual_ones() {
        let devices = |list: &[&str]| PlacementOptions {
            devices: Some(list.iter().map(|name| name.parse().unwrap()).collect()),
            ..PlacementOptions::default()
        };
        // Workers are not asked.
        for list in [&[][..], &["cpu"], &["rpc:127.0.0.1:1"]] {
            assert_eq!(devices(list).suitable_ubatch(512), 512, "{list:?}");
        }
        let none = PlacementOptions {
            gpu_layers: GpuLayers::Count(0),
            ..PlacementOptions::default()
        };
        assert_eq!(none.suitable_ubatch(64), 64);
    }

    #[test]
    fn an_unknown_device_is_refused_with_the_names_of_those_that_are_there() {
        let error = named("cuda7").unwrap_err();
        assert!(
            error.message().contains("no device cuda7 here, only cpu"),
            "{error}"
        );
        assert!(named("cpu").unwrap().is_empty());
    }
}
