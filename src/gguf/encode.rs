//! The bytes of a header: the counterpart of `parse`. It trusts its input, which the plan has
//! checked, and knows where it put the checksums.

use super::{
    Array, CHECKSUM_KEY, HEADER_CHECKSUM_KEY, MAGIC, Metadata, TensorInfo, VERSION, Value,
};

/// A header, padded with zeros up to the data section.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Position of the header's checksum, if it has one.
    pub(super) header_checksum_at: Option<usize>,
    /// Position of the first tensor's checksum, if it has any.
    pub(super) checksums_at: Option<usize>,
}

/// Encodes a header whose data section begins at `data_start`. Offsets in `tensors` are absolute.
pub(super) fn encode(metadata: &Metadata, tensors: &[TensorInfo], data_start: u64) -> Encoded {
    let mut out = Encoded {
        bytes: Vec::with_capacity(data_start as usize),
        header_checksum_at: None,
        checksums_at: None,
    };
    let bytes = &mut out.bytes;
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        string(bytes, key);
        bytes.extend((value.kind() as u32).to_le_bytes());
        match key {
            HEADER_CHECKSUM_KEY => out.header_checksum_at = Some(bytes.len()),
            // Behind the array's element type and count.
            CHECKSUM_KEY => out.checksums_at = Some(bytes.len() + 12),
            _ => {}
        }
        encode_value(bytes, value);
    }
    for t in tensors {
        string(bytes, &t.name);
        bytes.extend((t.dims.len() as u32).to_le_bytes());
        numbers(bytes, &t.dims, u64::to_le_bytes);
        bytes.extend(t.ty.id().to_le_bytes());
        bytes.extend((t.offset - data_start).to_le_bytes());
    }
    bytes.resize(bytes.len().max(data_start as usize), 0);
    out
}

/// Length of a header before its padding.
pub(super) fn encoded_length(metadata: &Metadata, tensors: &[TensorInfo]) -> u64 {
    // Offsets take the same room whatever they are.
    let entries: usize = tensors
        .iter()
        .map(|t| 8 + t.name.len() + 4 + 8 * t.dims.len() + 4 + 8)
        .sum();
    (encode(metadata, &[], 0).bytes.len() + entries) as u64
}

fn string(bytes: &mut Vec<u8>, s: &str) {
    bytes.extend((s.len() as u64).to_le_bytes());
    bytes.extend(s.as_bytes());
}

fn numbers<T: Copy, const N: usize>(bytes: &mut Vec<u8>, v: &[T], encode: fn(T) -> [u8; N]) {
    v.iter().for_each(|&x| bytes.extend(encode(x)));
}

fn encode_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(x) => bytes.extend(x.to_le_bytes()),
        Value::I8(x) => bytes.extend(x.to_le_bytes()),
        Value::U16(x) => bytes.extend(x.to_le_bytes()),
        Value::I16(x) => bytes.extend(x.to_le_bytes()),
        Value::U32(x) => bytes.extend(x.to_le_bytes()),
        Value::I32(x) => bytes.extend(x.to_le_bytes()),
        Value::U64(x) => bytes.extend(x.to_le_bytes()),
        Value::I64(x) => bytes.extend(x.to_le_bytes()),
        Value::F32(x) => bytes.extend(x.to_le_bytes()),
        Value::F64(x) => bytes.extend(x.to_le_bytes()),
        Value::Bool(x) => bytes.push(u8::from(*x)),
        Value::String(x) => string(bytes, x),
        Value::Array(a) => {
            bytes.extend((a.kind() as u32).to_le_bytes());
            bytes.extend((a.len() as u64).to_le_bytes());
            encode_elements(bytes, a);
        }
    }
}

fn encode_elements(bytes: &mut Vec<u8>, array: &Array) {
    match array {
        Array::U8(v) => bytes.extend(v),
        Array::I8(v) => numbers(bytes, v, i8::to_le_bytes),
        Array::U16(v) => numbers(bytes, v, u16::to_le_bytes),
        Array::I16(v) => numbers(bytes, v, i16::to_le_bytes),
        Array::U32(v) => numbers(bytes, v, u32::to_le_bytes),
        Array::I32(v) => numbers(bytes, v, i32::to_le_bytes),
        Array::U64(v) => numbers(bytes, v, u64::to_le_bytes),
        Array::I64(v) => numbers(bytes, v, i64::to_le_bytes),
        Array::F32(v) => numbers(bytes, v, f32::to_le_bytes),
        Array::F64(v) => numbers(bytes, v, f64::to_le_bytes),
        Array::Bool(v) => numbers(bytes, v, |b| [u8::from(b)]),
        Array::String(v) => v.iter().for_each(|s| string(bytes, s)),
    }
}
