//! Element types of tensors, and the Rust types whose slices can fill or read them.

use crate::gguf::TensorType;
use ggml_sys as sys;

/// A tensor's element type, by ggml's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub(super) sys::ggml_type);

impl Type {
    /// 32-bit float.
    pub const F32: Type = Type(sys::GGML_TYPE_F32);
    /// 16-bit IEEE float.
    pub const F16: Type = Type(sys::GGML_TYPE_F16);
    /// 32-bit integer: positions and row numbers.
    pub const I32: Type = Type(sys::GGML_TYPE_I32);
    /// 64-bit integer: rows to write.
    pub const I64: Type = Type(sys::GGML_TYPE_I64);
    /// Blocks of 32 bytes-wide integers with one f16 scale.
    pub const Q8_0: Type = Type(sys::GGML_TYPE_Q8_0);

    /// Bytes of a row of `ne0` elements, a multiple of the type's block size.
    pub fn row_bytes(self, ne0: usize) -> usize {
        // SAFETY: the number is one of ggml's own; the call only reads a constant table.
        unsafe { sys::ggml_row_size(self.0, ne0 as i64) }
    }

    /// Elements in a block: rows must be a multiple of it.
    pub fn block_size(self) -> usize {
        // SAFETY: as above.
        unsafe { sys::ggml_blck_size(self.0) as usize }
    }
}

impl From<TensorType> for Type {
    fn from(ty: TensorType) -> Self {
        // The container's type numbers are ggml's own numbers: GGUF stores them unchanged.
        Type(ty.id() as sys::ggml_type)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A plain Rust number that is the element of some ggml type.
pub trait Element: Copy + sealed::Sealed {
    /// The ggml type whose elements these are.
    const TYPE: Type;
}

macro_rules! element {
    ($($rust:ty => $ty:ident),*) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const TYPE: Type = Type::$ty;
        }
    )*};
}

element!(f32 => F32, half::f16 => F16, i32 => I32, i64 => I64);
