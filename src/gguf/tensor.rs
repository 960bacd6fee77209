//! A tensor's entry in the file: name, type, shape and place. Shared by reader and writer, so that
//! both accept exactly the same shapes. It never touches the data.

use super::TensorType;
use std::ops::Range;

/// Longest tensor name in bytes. ggml keeps 64 with the final zero.
pub const MAX_NAME_LENGTH: usize = 63;

/// Most dimensions of a tensor.
pub const MAX_DIMS: usize = 4;

/// Where a tensor is and what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, unique within the file.
    pub name: String,
    /// Format of its values.
    pub ty: TensorType,
    /// One to four dimensions in ggml order: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Size in bytes, without padding.
    pub n_bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Number of rows of `dims[0]` elements each.
    pub fn n_rows(&self) -> u64 {
        self.dims.iter().skip(1).product()
    }

    /// Bytes from the start of the file.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.n_bytes
    }
}

/// Size in bytes of a tensor of type `ty` and shape `dims`, or the reason why there is none.
pub(super) fn n_bytes(ty: TensorType, dims: &[u64]) -> Result<u64, String> {
    if dims.is_empty() || dims.len() > MAX_DIMS {
        return Err(format!(
            "has {} dimensions, expected 1 to {MAX_DIMS}",
            dims.len()
        ));
    }
    if dims.contains(&0) {
        return Err(format!("has an empty dimension in {dims:?}"));
    }
    if !dims[0].is_multiple_of(ty.block_size()) {
        return Err(format!(
            "has rows of {} elements, expected a multiple of {} for {ty}",
            dims[0],
            ty.block_size()
        ));
    }
    // ggml counts elements and bytes in signed 64 bits.
    let fits = |n: &u64| i64::try_from(*n).is_ok();
    dims.iter()
        .try_fold(1u64, |n, &d| n.checked_mul(d))
        .filter(fits)
        .and_then(|n| ty.row_bytes(n))
        .filter(fits)
        .ok_or_else(|| format!("has a shape {dims:?} too large to address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        use TensorType::*;
        assert_eq!(n_bytes(Q8_0, &[64, 3]), Ok(204));
        assert!(n_bytes(Q8_0, &[65, 3]).unwrap_err().contains("65"));
        assert!(n_bytes(F32, &[]).unwrap_err().contains("0 dimensions"));
        assert!(n_bytes(F32, &[1; 5]).unwrap_err().contains("5 dimensions"));
        assert!(n_bytes(F32, &[4, 0]).unwrap_err().contains("empty"));
        for dims in [
            vec![u64::MAX],
            vec![1 << 32, 1 << 31],
            vec![1 << 62],
            vec![1 << 21, 1 << 21, 1 << 22],
        ] {
            assert!(n_bytes(F32, &dims).unwrap_err().contains("too large"));
        }
    }
}
