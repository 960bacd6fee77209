//! `pixtral inspect`: what a model file holds, and whether its bytes are what they were.

use crate::{interrupt::Interrupt, progress::bytes_bar, table::Table, units};
use clap::Args;
use pixtral::{
    Result,
    config::{Config, Group, inventory},
    ggml::CancelFlag,
    gguf::{Array, File, TensorInfo, Value},
};
use serde_json::{Map, json};
use std::{collections::BTreeMap, ops::ControlFlow, path::PathBuf};

/// Show what a model file holds
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Model file (GGUF)
    file: PathBuf,
    /// Read every tensor and compare it with its checksum
    #[arg(long)]
    verify: bool,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Tensors that belong together, summed up.
#[derive(Default)]
struct Sum {
    n_tensors: usize,
    n_elements: u64,
    n_bytes: u64,
    types: BTreeMap<String, usize>,
}

impl Sum {
    fn add(&mut self, tensor: &TensorInfo) {
        self.n_tensors += 1;
        self.n_elements += tensor.n_elements();
        self.n_bytes += tensor.n_bytes;
        *self.types.entry(tensor.ty.name().to_owned()).or_default() += 1;
    }

    fn bits_per_weight(&self) -> f64 {
        match self.n_elements {
            0 => 0.0,
            n => self.n_bytes as f64 * 8.0 / n as f64,
        }
    }

    fn types(&self) -> String {
        let list: Vec<String> = self.types.iter().map(|(ty, n)| format!("{n}×{ty}")).collect();
        list.join(" ")
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "tensors": self.n_tensors,
            "elements": self.n_elements,
            "bytes": self.n_bytes,
            "bits_per_weight": self.bits_per_weight(),
            "types": self.types,
        })
    }
}

/// Runs the command. `interrupt` stops verifying.
pub fn run(args: &InspectArgs, interrupt: &Interrupt) -> Result<()> {
    let file = File::open(&args.file)?;
    let (groups, total) = sums(&file);
    let verified = match args.verify {
        true => Some(verify(&file, interrupt)?),
        false => None,
    };
    match args.json {
        true => print_json(args, &file, &groups, &total, verified),
        false => print_tables(args, &file, &groups, &total, verified),
    }
    Ok(())
}

/// Sums per group, in file order, and over all. Files of other models have one group.
fn sums(file: &File) -> (Vec<(String, Sum)>, Sum) {
    let group_of: BTreeMap<String, Group> = Config::from_metadata(file.metadata())
        .map(|config| inventory(&config).into_iter().map(|t| (t.name, t.group)).collect())
        .unwrap_or_default();
    let mut groups: Vec<(String, Sum)> = Vec::new();
    let mut total = Sum::default();
    for tensor in file.tensors() {
        let group = group_of.get(&tensor.name).map_or("tensors".to_owned(), Group::to_string);
        if groups.last().is_none_or(|(last, _)| *last != group) {
            groups.push((group, Sum::default()));
        }
        if let Some((_, sum)) = groups.last_mut() {
            sum.add(tensor);
        }
        total.add(tensor);
    }
    (groups, total)
}

fn verify(file: &File, interrupt: &Interrupt) -> Result<usize> {
    let bar = bytes_bar("verifying", 0);
    let flag = CancelFlag::default();
    let result = interrupt.during(flag.clone(), || {
        file.verify(|done, total| {
            bar.set_length(total);
            bar.set_position(done);
            match flag.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    });
    bar.finish_and_clear();
    result.map(|()| file.tensors().len())
}

fn print_tables(
    args: &InspectArgs,
    file: &File,
    groups: &[(String, Sum)],
    total: &Sum,
    verified: Option<usize>,
) {
    println!("{}: GGUF, {}", args.file.display(), units::bytes(file.bytes().len() as u64));
    let mut metadata = Table::new(&["key", "value"]);
    for (key, value) in file.metadata().iter() {
        metadata.row(vec![key.to_owned(), brief(value)]);
    }
    println!("\n{metadata}");
    let mut table = Table::new(&["group", ">tensors", ">weights", ">size", ">bits/weight", "types"]);
    let total_row = ("total".to_owned(), total);
    let rows = groups.iter().map(|(name, sum)| (name.clone(), sum)).chain([total_row]);
    for (name, sum) in rows {
        table.row(vec![
            name,
            sum.n_tensors.to_string(),
            format!("{:.1} M", sum.n_elements as f64 / 1e6),
            units::bytes(sum.n_bytes),
            format!("{:.2}", sum.bits_per_weight()),
            sum.types(),
        ]);
    }
    print!("{table}");
    if args.tensors {
        let mut table = Table::new(&["tensor", "type", "shape", ">size", ">offset"]);
        for tensor in file.tensors() {
            table.row(vec![
                tensor.name.clone(),
                tensor.ty.to_string(),
                format!("{:?}", tensor.dims),
                units::bytes(tensor.n_bytes),
                tensor.offset.to_string(),
            ]);
        }
        print!("\n{table}");
    }
    if let Some(n) = verified {
        println!("\nall {n} tensors match their checksums");
    }
}

fn print_json(
    args: &InspectArgs,
    file: &File,
    groups: &[(String, Sum)],
    total: &Sum,
    verified: Option<usize>,
) {
    let metadata: Map<String, serde_json::Value> = file
        .metadata()
        .iter()
        .map(|(key, value)| (key.to_owned(), scalar(value).unwrap_or_else(|| brief(value).into())))
        .collect();
    let groups: Vec<serde_json::Value> = groups
        .iter()
        .map(|(name, sum)| {
            let mut object = sum.to_json();
            object["group"] = json!(name);
            object
        })
        .collect();
    let mut report = json!({
        "file": args.file,
        "bytes": file.bytes().len(),
        "metadata": metadata,
        "groups": groups,
        "total": total.to_json(),
    });
    if args.tensors {
        let tensors = file.tensors().iter().map(|t| {
            json!({
                "name": t.name,
                "type": t.ty.name(),
                "shape": t.dims,
                "bytes": t.n_bytes,
                "offset": t.offset,
            })
        });
        report["tensors"] = tensors.collect();
    }
    if let Some(n) = verified {
        report["verified_tensors"] = json!(n);
    }
    println!("{report}");
}

/// A value on one line: long texts and arrays are cut.
fn brief(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("{:?}… ({} bytes)", start, text.len())
        }
        Value::String(text) => format!("{text:?}"),
        Value::Array(array) => brief_array(array),
        other => scalar(other).map_or_else(|| other.type_name(), |value| value.to_string()),
    }
}

fn brief_array(array: &Array) -> String {
    let n = array.len();
    match array {
        Array::String(texts) => {
            let start: Vec<String> = texts.iter().take(4).map(|t| format!("{t:?}")).collect();
            format!("{n} strings: {}{}", start.join(", "), if n > 4 { ", …" } else { "" })
        }
        _ => format!("{} of {n}", Value::Array(array.clone()).type_name()),
    }
}

/// A value that is not an array, as JSON.
fn scalar(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => json!(text),
        Value::Bool(flag) => json!(flag),
        Value::F32(x) => json!(x),
        Value::F64(x) => json!(x),
        Value::Array(_) => return None,
        integer => json!(i64::try_from(integer.as_integer()?).ok()?),
    })
}
