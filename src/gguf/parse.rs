//! Reads and validates the header of a GGUF file: everything that is not tensor data. One pass,
//! nothing quadratic, and nothing that it returns needs checking again.

use super::cursor::{Cursor, invalid};
use super::tensor::{MAX_NAME_LENGTH, n_bytes};
use super::value::Kind;
use super::{
    ALIGNMENT_KEY, Array, DEFAULT_ALIGNMENT, MAGIC, MAX_ALIGNMENT, MAX_DIMS, MAX_KEY_LENGTH,
    Metadata, TensorInfo, TensorType, VERSION, Value, foreign,
};
use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, hash_map::Entry};

/// Everything before the tensor data.
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
    /// Index of each tensor by name.
    pub(super) by_name: HashMap<String, usize>,
    /// First byte of the data section.
    pub(super) data_start: u64,
}

/// Reads the header of the file `bytes` and checks that its tensors lie inside it.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    if !bytes.starts_with(MAGIC) {
        return Err(foreign::refusal(bytes));
    }
    let mut cur = Cursor::new(bytes);
    cur.take(MAGIC.len() as u64, "magic")?;
    check_version(cur.u32("version")?)?;
    let n_tensors = cur.u64("tensor count")?;
    let n_keys = cur.u64("metadata count")?;
    // A key of one byte with a value of one byte; a tensor of one dimension.
    cur.check_count(n_keys, 8 + 1 + 4 + 1, "metadata")?;
    cur.check_count(n_tensors, 8 + 1 + 4 + 8 + 4 + 8, "tensors")?;

    let mut metadata = Metadata::new();
    for i in 0..n_keys {
        let (key, value) = entry(&mut cur, i)?;
        if metadata.contains(key) {
            return Err(invalid(format!(
                "metadata key {key} appears twice; the file is damaged"
            )));
        }
        metadata.insert(key, value);
    }
    let alignment = alignment(&metadata)?;

    let mut tensors = Vec::new();
    let mut by_name = HashMap::new();
    for i in 0..n_tensors {
        let info = tensor(&mut cur, i)?;
        match by_name.entry(info.name.clone()) {
            Entry::Occupied(e) => {
                return Err(invalid(format!(
                    "tensor {} appears twice; the file is damaged",
                    e.key()
                )));
            }
            Entry::Vacant(e) => e.insert(tensors.len()),
        };
        tensors.push(info);
    }
    let data_start = cur.pos().next_multiple_of(alignment);
    place(&mut tensors, data_start, alignment, bytes.len() as u64)?;
    Ok(Header {
        metadata,
        tensors,
        by_name,
        data_start,
    })
}

fn check_version(version: u32) -> Result<()> {
    match version {
        2 | VERSION => Ok(()),
        1 => Err(unsupported(
            "is GGUF version 1, which nothing has written since 2023; convert the checkpoint with pixtral-quantize",
        )),
        v if v != 0 && v & 0xffff == 0 => Err(unsupported(
            "is a big-endian GGUF file, expected little-endian; convert the checkpoint with pixtral-quantize",
        )),
        v => Err(unsupported(&format!(
            "is GGUF version {v}, expected 2 or {VERSION}; it needs a newer program or is damaged"
        ))),
    }
}

fn unsupported(message: &str) -> Error {
    Error::new(ErrorKind::InvalidFile, message)
}

fn entry<'a>(cur: &mut Cursor<'a>, index: u64) -> Result<(&'a str, Value)> {
    let key = cur.string(&format!("metadata key {index}"))?;
    if key.is_empty() || key.len() > MAX_KEY_LENGTH {
        return Err(invalid(format!(
            "metadata key {index} has {} bytes, expected 1 to {MAX_KEY_LENGTH}; the file is damaged",
            key.len()
        )));
    }
    let kind = kind(cur, key)?;
    Ok((key, value(cur, key, kind)?))
}

fn kind(cur: &mut Cursor, key: &str) -> Result<Kind> {
    let id = cur.u32(key)?;
    Kind::from_id(id).ok_or_else(|| {
        invalid(format!(
            "metadata key {key} has the unknown type {id}; the file is damaged or newer than this program"
        ))
    })
}

fn value(cur: &mut Cursor, key: &str, kind: Kind) -> Result<Value> {
    Ok(match kind {
        Kind::U8 => Value::U8(u8::from_le_bytes(cur.array(key)?)),
        Kind::I8 => Value::I8(i8::from_le_bytes(cur.array(key)?)),
        Kind::U16 => Value::U16(u16::from_le_bytes(cur.array(key)?)),
        Kind::I16 => Value::I16(i16::from_le_bytes(cur.array(key)?)),
        Kind::U32 => Value::U32(cur.u32(key)?),
        Kind::I32 => Value::I32(i32::from_le_bytes(cur.array(key)?)),
        Kind::U64 => Value::U64(cur.u64(key)?),
        Kind::I64 => Value::I64(i64::from_le_bytes(cur.array(key)?)),
        Kind::F32 => Value::F32(f32::from_le_bytes(cur.array(key)?)),
        Kind::F64 => Value::F64(f64::from_le_bytes(cur.array(key)?)),
        Kind::Bool => Value::Bool(truth(cur.array::<1>(key)?[0], key)?),
        Kind::String => Value::String(cur.string(key)?.to_owned()),
        Kind::Array => Value::Array(array(cur, key)?),
    })
}

fn array(cur: &mut Cursor, key: &str) -> Result<Array> {
    let kind = kind(cur, key)?;
    let n = cur.u64(key)?;
    cur.check_count(n, kind.min_bytes(), key)?;
    Ok(match kind {
        Kind::U8 => Array::U8(numbers(cur, key, n, u8::from_le_bytes)?),
        Kind::I8 => Array::I8(numbers(cur, key, n, i8::from_le_bytes)?),
        Kind::U16 => Array::U16(numbers(cur, key, n, u16::from_le_bytes)?),
        Kind::I16 => Array::I16(numbers(cur, key, n, i16::from_le_bytes)?),
        Kind::U32 => Array::U32(numbers(cur, key, n, u32::from_le_bytes)?),
        Kind::I32 => Array::I32(numbers(cur, key, n, i32::from_le_bytes)?),
        Kind::U64 => Array::U64(numbers(cur, key, n, u64::from_le_bytes)?),
        Kind::I64 => Array::I64(numbers(cur, key, n, i64::from_le_bytes)?),
        Kind::F32 => Array::F32(numbers(cur, key, n, f32::from_le_bytes)?),
        Kind::F64 => Array::F64(numbers(cur, key, n, f64::from_le_bytes)?),
        Kind::Bool => Array::Bool(
            cur.take(n, key)?
                .iter()
                .map(|&b| truth(b, key))
                .collect::<Result<_>>()?,
        ),
        Kind::String => Array::String(strings(cur, key, n)?),
        Kind::Array => {
            return Err(invalid(format!(
                "metadata key {key} is an array of arrays, which no known model uses; the file is damaged"
            )));
        }
    })
}

fn numbers<T, const N: usize>(
    cur: &mut Cursor,
    key: &str,
    n: u64,
    decode: fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    // `check_count` has shown that the product fits.
    let raw = cur.take(n * N as u64, key)?;
    Ok(raw.as_chunks().0.iter().map(|c| decode(*c)).collect())
}

fn strings(cur: &mut Cursor, key: &str, n: u64) -> Result<Vec<String>> {
    // Not more than a small multiple of the header: `check_count` has seen `n`.
    let mut list = Vec::with_capacity(n as usize);
    for _ in 0..n {
        list.push(cur.string(key)?.to_owned());
    }
    Ok(list)
}

fn truth(byte: u8, key: &str) -> Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!(
            "metadata key {key}: {other} is neither true nor false; the file is damaged"
        ))),
    }
}

/// The alignment that `metadata` declares, or GGUF's own.
pub(super) fn alignment(metadata: &Metadata) -> Result<u64> {
    if !metadata.contains(ALIGNMENT_KEY) {
        return Ok(DEFAULT_ALIGNMENT);
    }
    let alignment = u64::from(metadata.u32(ALIGNMENT_KEY)?);
    if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
        return Err(invalid(format!(
            "{ALIGNMENT_KEY} is {alignment}, expected a power of two from 8 to {MAX_ALIGNMENT}"
        )));
    }
    Ok(alignment)
}

/// One tensor's entry, its offset still counted from the start of the data section.
fn tensor(cur: &mut Cursor, index: u64) -> Result<TensorInfo> {
    let name = cur.string(&format!("name of tensor {index}"))?;
    if name.is_empty() || name.len() > MAX_NAME_LENGTH {
        return Err(invalid(format!(
            "tensor {index} has a name of {} bytes, expected 1 to {MAX_NAME_LENGTH}; the file is damaged",
            name.len()
        )));
    }
    let n_dims = cur.u32(name)?;
    if n_dims == 0 || n_dims > MAX_DIMS as u32 {
        return Err(invalid(format!(
            "tensor {name} has {n_dims} dimensions, expected 1 to {MAX_DIMS}; the file is damaged"
        )));
    }
    let dims = (0..n_dims)
        .map(|_| cur.u64(name))
        .collect::<Result<Vec<_>>>()?;
    let id = cur.u32(name)?;
    let ty = TensorType::from_id(id).ok_or_else(|| {
        Error::new(
            ErrorKind::UnsupportedType,
            format!("tensor {name} has type {id}, which is withdrawn or newer than this program"),
        )
    })?;
    let n_bytes = n_bytes(ty, &dims)
        .map_err(|why| invalid(format!("tensor {name} {why}; the file is damaged")))?;
    Ok(TensorInfo {
        name: name.to_owned(),
        ty,
        dims,
        offset: cur.u64(name)?,
        n_bytes,
    })
}

/// Turns offsets into absolute ones and checks that the tensors are aligned, apart from each other
/// and inside the file of `file_size` bytes.
fn place(
    tensors: &mut [TensorInfo],
    data_start: u64,
    alignment: u64,
    file_size: u64,
) -> Result<()> {
    let mut expected = 0;
    for t in tensors.iter_mut() {
        if !t.offset.is_multiple_of(alignment) {
            return Err(invalid(format!(
                "tensor {} begins at offset {}, expected a multiple of {alignment}; the file is damaged",
                t.name, t.offset
            )));
        }
        let end = data_start
            .checked_add(t.offset)
            .and_then(|offset| offset.checked_add(t.n_bytes))
            .ok_or_else(|| {
                invalid(format!(
                    "tensor {} begins at offset {}, beyond any file; the file is damaged",
                    t.name, t.offset
                ))
            })?;
        t.offset += data_start;
        expected = expected.max(end);
    }
    if expected > file_size {
        return Err(invalid(format!(
            "truncated: {expected} bytes expected, {file_size} found; download or convert it again"
        )));
    }
    check_overlaps(tensors)
}

fn check_overlaps(tensors: &[TensorInfo]) -> Result<()> {
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|t| t.offset);
    match order
        .windows(2)
        .find(|w| w[0].offset + w[0].n_bytes > w[1].offset)
    {
        None => Ok(()),
        Some(w) => Err(invalid(format!(
            "tensors {} and {} overlap; the file is damaged",
            w[0].name, w[1].name
        ))),
    }
}
