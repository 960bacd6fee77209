//! Headers made by hand, each wrong in one way: the refusal names what and where.

use super::support::read;
use pixtral::{ErrorKind, gguf::MAX_ALIGNMENT};

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const F32_TENSOR: u32 = 0;

/// A GGUF file in the making.
struct Raw(Vec<u8>);

impl Raw {
    fn new(n_tensors: u64, n_keys: u64) -> Self {
        let mut raw = Self(b"GGUF".to_vec());
        raw.u32(3).u64(n_tensors).u64(n_keys);
        raw
    }

    fn u32(&mut self, x: u32) -> &mut Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn u64(&mut self, x: u64) -> &mut Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.u64(text.len() as u64);
        self.0.extend(text);
        self
    }

    fn tensor(&mut self, name: &str, dims: &[u64], ty: u32, offset: u64) -> &mut Self {
        self.text(name.as_bytes()).u32(dims.len() as u32);
        for &n in dims {
            self.u64(n);
        }
        self.u32(ty).u64(offset)
    }

    fn data(&mut self, n: usize) -> &mut Self {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + n, 0);
        self
    }
}

#[track_caller]
fn refused(raw: &Raw, expected: &str) {
    let e = read(&raw.0).expect_err("the file is refused");
    assert!(e.message().contains(expected), "{e}");
    assert!(
        matches!(
            e.kind(),
            ErrorKind::InvalidFile | ErrorKind::UnsupportedType
        ),
        "{e}"
    );
}

#[test]
fn a_sound_file_made_by_hand_is_read() {
    let mut raw = Raw::new(1, 1);
    raw.text(b"key").u32(U32).u32(7);
    raw.tensor("t", &[2, 2], F32_TENSOR, 0).data(16);
    read(&raw.0).unwrap();
}

#[test]
fn counts_that_cannot_fit_are_refused_before_anything_is_allocated() {
    refused(&Raw::new(u64::MAX, 0), "tensors with a count of");
    refused(&Raw::new(0, u64::MAX), "metadata with a count of");
    let mut raw = Raw::new(0, 1);
    raw.text(b"key").u32(ARRAY).u32(U32).u64(u64::MAX / 4);
    refused(&raw, "key");
    let mut raw = Raw::new(0, 1);
    raw.u64(u64::MAX);
    raw.data(64);
    refused(&raw, "metadata key 0");
}

#[test]
fn values_of_unknown_kind_nested_arrays_and_broken_text_are_refused() {
    let mut raw = Raw::new(0, 1);
    raw.text(b"key").u32(99).data(64);
    refused(&raw, "unknown type 99");
    let mut raw = Raw::new(0, 1);
    raw.text(b"key").u32(ARRAY).u32(ARRAY).u64(1).data(64);
    refused(&raw, "array of arrays");
    let mut raw = Raw::new(0, 1);
    raw.text(b"key").u32(STRING).text(b"\xff").data(64);
    refused(&raw, "not UTF-8");
    let mut raw = Raw::new(0, 1);
    raw.text(b"").u32(U32).u32(1);
    refused(&raw, "metadata key 0 has 0 bytes");
}

#[test]
fn names_and_keys_are_unique() {
    let mut raw = Raw::new(0, 2);
    raw.text(b"key").u32(U32).u32(1);
    raw.text(b"key").u32(U32).u32(2);
    refused(&raw, "key appears twice");
    let mut raw = Raw::new(2, 0);
    raw.tensor("t", &[4], F32_TENSOR, 0);
    raw.tensor("t", &[4], F32_TENSOR, 32).data(64);
    refused(&raw, "tensor t appears twice");
}

#[test]
fn alignments_are_powers_of_two_within_bounds() {
    for alignment in [0, 3, 48, MAX_ALIGNMENT as u32 * 2] {
        let mut raw = Raw::new(0, 1);
        raw.text(b"general.alignment").u32(U32).u32(alignment);
        refused(&raw, "general.alignment");
    }
}

#[test]
fn shapes_are_non_empty_whole_blocks_and_addressable() {
    for (dims, ty, expected) in [
        (&[][..], F32_TENSOR, "0 dimensions"),
        (&[1; 5][..], F32_TENSOR, "5 dimensions"),
        (&[4, 0][..], F32_TENSOR, "empty dimension"),
        (&[u64::MAX, 2][..], F32_TENSOR, "too large"),
        (&[33][..], 8, "multiple of 32"),
        (&[4][..], 77, "type 77"),
    ] {
        let mut raw = Raw::new(1, 0);
        raw.tensor("t", dims, ty, 0).data(64);
        refused(&raw, expected);
    }
}

#[test]
fn places_are_aligned_inside_the_file_and_apart() {
    for (offset, expected) in [
        (8, "multiple of 32"),
        (64, "truncated"),
        (u64::MAX - 31, "beyond any file"),
    ] {
        let mut raw = Raw::new(1, 0);
        raw.tensor("t", &[16], F32_TENSOR, offset).data(64);
        refused(&raw, expected);
    }
    let mut raw = Raw::new(2, 0);
    raw.tensor("a", &[16], F32_TENSOR, 0);
    raw.tensor("b", &[8], F32_TENSOR, 32).data(64);
    refused(&raw, "tensors a and b overlap");
}

#[test]
fn other_versions_are_named() {
    for (version, expected) in [
        (1u32, "version 1"),
        (4, "version 4"),
        (0x0300_0000, "big-endian"),
    ] {
        let mut raw = Raw::new(0, 0);
        raw.0[4..8].copy_from_slice(&version.to_le_bytes());
        refused(&raw, expected);
    }
}
