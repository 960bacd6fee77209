//! A file's contents as JSON.

use super::{
    InspectArgs,
    contents::{Contents, Sum},
    machine::Machine,
    text::brief,
};
use pixtral::gguf::{File, Value};
use serde_json::{Map, json};

/// The report for programs.
pub fn report(
    args: &InspectArgs,
    file: &File,
    contents: &Contents,
    machine: &Machine,
) -> serde_json::Value {
    let metadata: Map<String, serde_json::Value> = file
        .metadata()
        .iter()
        .map(|(key, value)| {
            (
                key.to_owned(),
                scalar(value).unwrap_or_else(|| brief(value).into()),
            )
        })
        .collect();
    let groups: Vec<serde_json::Value> = contents
        .groups
        .iter()
        .map(|(name, sum)| {
            let mut object = to_json(sum);
            object["group"] = json!(name);
            object
        })
        .collect();
    let mut report = json!({
        "file": args.file,
        "bytes": file.bytes().len(),
        "metadata": metadata,
        "groups": groups,
        "total": to_json(&contents.total),
        "load": machine.to_json(),
    });
    if args.tensors {
        report["tensors"] = tensors(file);
    }
    if args.verify {
        report["verified_tensors"] = json!(file.tensors().len());
    }
    report
}

fn tensors(file: &File) -> serde_json::Value {
    let list = file.tensors().iter().map(|t| {
        json!({
            "name": t.name,
            "type": t.ty.name(),
            "shape": t.dims,
            "bytes": t.n_bytes,
            "offset": t.offset,
        })
    });
    list.collect()
}

fn to_json(sum: &Sum) -> serde_json::Value {
    json!({
        "tensors": sum.n_tensors,
        "elements": sum.n_elements,
        "bytes": sum.n_bytes,
        "bits_per_weight": sum.bits_per_weight(),
        "types": sum.types,
    })
}

/// A value that is not an array, as JSON.
pub(super) fn scalar(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => json!(text),
        Value::Bool(flag) => json!(flag),
        Value::F32(x) => json!(x),
        Value::F64(x) => json!(x),
        Value::Array(_) => return None,
        integer => json!(i64::try_from(integer.as_integer()?).ok()?),
    })
}
