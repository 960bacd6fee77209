//! A file's contents as tables.

use super::{
    InspectArgs,
    contents::{Contents, Sum},
    json::scalar,
    machine::Machine,
};
use pixtral::gguf::{Array, File, Value};
use pixtral_terminal::{Table, units};

/// The report for people.
pub fn report(args: &InspectArgs, file: &File, contents: &Contents, machine: &Machine) -> String {
    let size = units::bytes(file.bytes().len() as u64);
    let mut parts = vec![
        format!("{}: GGUF, {size}\n", args.file.display()),
        metadata(file).to_string(),
        groups(contents).to_string(),
        machine.text(),
    ];
    if args.tensors {
        parts.push(tensors(file).to_string());
    }
    if args.verify {
        parts.push(format!(
            "all {} tensors match their checksums\n",
            file.tensors().len()
        ));
    }
    parts.join("\n")
}

fn metadata(file: &File) -> Table {
    let mut table = Table::new(&["key", "value"]);
    for (key, value) in file.metadata().iter() {
        table.row(vec![key.to_owned(), brief(value)]);
    }
    table
}

fn groups(contents: &Contents) -> Table {
    let mut table = Table::new(&[
        "group",
        ">tensors",
        ">weights",
        ">size",
        ">bits/weight",
        "types",
    ]);
    let groups = contents
        .groups
        .iter()
        .map(|(name, sum)| (name.as_str(), sum));
    for (name, sum) in groups.chain([("total", &contents.total)]) {
        table.row(vec![
            name.to_owned(),
            sum.n_tensors.to_string(),
            format!("{:.1} M", sum.n_elements as f64 / 1e6),
            units::bytes(sum.n_bytes),
            format!("{:.2}", sum.bits_per_weight()),
            types(sum),
        ]);
    }
    table
}

fn types(sum: &Sum) -> String {
    let list: Vec<String> = sum
        .types
        .iter()
        .map(|(ty, n)| format!("{n}×{ty}"))
        .collect();
    list.join(" ")
}

fn tensors(file: &File) -> Table {
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
    table
}

/// A value on one line: long texts and arrays are cut.
pub(super) fn brief(value: &Value) -> String {
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
            format!(
                "{n} strings: {}{}",
                start.join(", "),
                if n > 4 { ", …" } else { "" }
            )
        }
        _ => format!("{} of {n}", Value::Array(array.clone()).type_name()),
    }
}
