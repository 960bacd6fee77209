//! Structs that may grow. Their first field is their size in the header that the program was compiled
//! with, so that an old program works with a new library and the other way round.

use crate::status::invalid;
use pixtral::Result;
use std::ptr;

/// A struct that only ever grows at its end.
///
/// # Safety
/// The type is `repr(C)`, its first field is `struct_size: usize`, and every pattern of bits is a
/// valid value: integers, floats and raw pointers only.
pub(crate) unsafe trait Versioned: Copy {
    /// The struct with defaults, `struct_size` being its size in this version.
    fn defaults() -> Self;
    /// Its name in C.
    const NAME: &'static str;
    /// Its size in the first version that had it.
    const FIRST_SIZE: usize;
}

/// What a program passed: NULL stands for the defaults, and what an older program does not know has
/// its default.
///
/// Errors if the size is none that the struct ever had, or if a newer program has set what this
/// library does not know.
///
/// # Safety
/// `ptr` is NULL or points at a struct as long as its first field says.
pub(crate) unsafe fn read<T: Versioned>(ptr: *const T) -> Result<T> {
    let mut value = T::defaults();
    if ptr.is_null() {
        return Ok(value);
    }
    // SAFETY: not NULL, so there is at least the size.
    let size = unsafe { ptr.cast::<usize>().read_unaligned() };
    check::<T>(size)?;
    // SAFETY: both have as many bytes, and any bytes make a valid value.
    unsafe {
        let (from, to) = (ptr.cast::<u8>(), ptr::from_mut(&mut value).cast::<u8>());
        to.copy_from_nonoverlapping(from, size.min(size_of::<T>()));
        for at in size_of::<T>()..size {
            if *from.add(at) != 0 {
                return Err(invalid(format!(
                    "{} sets options that this libpixtral ({}) does not know: update it",
                    T::NAME,
                    env!("CARGO_PKG_VERSION")
                )));
            }
        }
    }
    Ok(value)
}

/// Fills `size` bytes at `ptr` with the defaults, and zeros beyond what this version knows.
///
/// # Safety
/// `ptr` is NULL or points at `size` bytes that may be written.
pub(crate) unsafe fn init<T: Versioned>(ptr: *mut T, size: usize) -> Result<()> {
    check::<T>(size)?;
    // SAFETY: as the caller promises.
    unsafe { write(ptr, &T::defaults(), size) }
}

/// Gives a program as much of `value` as it has room for, which is what its first field says.
///
/// # Safety
/// `ptr` is NULL or points at a struct as long as its first field says.
pub(crate) unsafe fn fill<T: Versioned>(ptr: *mut T, value: &T) -> Result<()> {
    if ptr.is_null() {
        return Err(invalid(format!("{} is NULL", T::NAME)));
    }
    // SAFETY: not NULL, so there is at least the size.
    let size = unsafe { ptr.cast::<usize>().read_unaligned() };
    check::<T>(size)?;
    // SAFETY: as the caller promises.
    unsafe { write(ptr, value, size) }
}

unsafe fn write<T: Versioned>(ptr: *mut T, value: &T, size: usize) -> Result<()> {
    if ptr.is_null() {
        return Err(invalid(format!("{} is NULL", T::NAME)));
    }
    // SAFETY: `ptr` has `size` bytes, as the caller promises; the last write is within them, since
    // every size is at least that of the first field.
    unsafe {
        let to = ptr.cast::<u8>();
        to.write_bytes(0, size);
        let known = size.min(size_of::<T>());
        to.copy_from_nonoverlapping(ptr::from_ref(value).cast(), known);
        ptr.cast::<usize>().write_unaligned(size);
    }
    Ok(())
}

fn check<T: Versioned>(size: usize) -> Result<()> {
    /// Nobody's struct is larger; a size beyond is an uninitialised one.
    const LARGEST: usize = 1 << 16;
    if (T::FIRST_SIZE..=LARGEST).contains(&size) {
        return Ok(());
    }
    Err(invalid(format!(
        "{}.struct_size is {size}, expected sizeof({}), which is {}",
        T::NAME,
        T::NAME,
        size_of::<T>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::ErrorKind;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Old {
        struct_size: usize,
        a: u64,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct New {
        struct_size: usize,
        a: u64,
        b: u64,
    }

    // SAFETY: repr(C), the size first, integers only.
    unsafe impl Versioned for Old {
        fn defaults() -> Self {
            Self {
                struct_size: size_of::<Self>(),
                a: 1,
            }
        }
        const NAME: &'static str = "options";
        const FIRST_SIZE: usize = size_of::<Old>();
    }

    // SAFETY: repr(C), the size first, integers only.
    unsafe impl Versioned for New {
        fn defaults() -> Self {
            Self {
                struct_size: size_of::<Self>(),
                a: 1,
                b: 2,
            }
        }
        const NAME: &'static str = "options";
        const FIRST_SIZE: usize = size_of::<Old>();
    }

    /// Programs were compiled with these: a struct that has grown keeps its own.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_first_size_of_a_struct_never_changes() {
        for (first, size, name) in [
            first::<crate::pixtral_model_options>(32),
            first::<crate::pixtral_model_info>(72),
            first::<crate::pixtral_image_options>(16),
            first::<crate::pixtral_image_info>(32),
            first::<crate::pixtral_session_options>(128),
            first::<crate::pixtral_estimate>(56),
            first::<crate::pixtral_generate_options>(112),
            first::<crate::pixtral_answer>(128),
            first::<crate::pixtral_quantize_options>(56),
        ] {
            assert_eq!(first, size, "{name}");
        }
    }

    #[cfg(target_pointer_width = "64")]
    fn first<T: Versioned>(size: usize) -> (usize, usize, &'static str) {
        assert!(size_of::<T>() >= size, "{} has shrunk", T::NAME);
        (T::FIRST_SIZE, size, T::NAME)
    }

    #[test]
    fn an_old_program_with_a_new_library_gets_the_defaults_of_what_it_does_not_know() {
        let old = Old {
            struct_size: size_of::<Old>(),
            a: 7,
        };
        // SAFETY: the struct is as long as it says.
        let read = unsafe { read(ptr::from_ref(&old).cast::<New>()) }.unwrap();
        assert_eq!((read.a, read.b), (7, 2));

        let mut room = [Old {
            struct_size: size_of::<Old>(),
            a: 0,
        }; 2];
        // SAFETY: the struct is as long as it says.
        unsafe { fill(room.as_mut_ptr().cast::<New>(), &New::defaults()) }.unwrap();
        assert_eq!(
            room[0],
            Old {
                struct_size: 16,
                a: 1
            }
        );
        assert_eq!(room[1].a, 0, "written beyond the end");
    }

    #[test]
    fn a_new_program_with_an_old_library_is_refused_only_if_it_uses_what_is_new() {
        let mut new = New::defaults();
        // SAFETY: the structs are as long as they say.
        unsafe {
            let e = read(ptr::from_ref(&new).cast::<Old>()).unwrap_err();
            assert!(e.message().contains("does not know"), "{e}");
            init(ptr::from_mut(&mut new).cast::<Old>(), size_of::<New>()).unwrap();
            assert_eq!(
                new,
                New {
                    struct_size: 24,
                    a: 1,
                    b: 0
                }
            );
            assert_eq!(read(ptr::from_ref(&new).cast::<Old>()).unwrap().a, 1);
        }
    }

    #[test]
    fn sizes_that_no_version_had_are_refused() {
        for size in [0, 8, usize::MAX] {
            let wrong = New {
                struct_size: size,
                a: 0,
                b: 0,
            };
            // SAFETY: nothing is read beyond the size, which is refused.
            let e = unsafe { read(&wrong) }.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidArgument);
            assert!(e.message().contains("options.struct_size"), "{e}");
        }
        // SAFETY: NULL.
        let nothing = unsafe { read::<New>(ptr::null()) };
        assert_eq!(nothing.unwrap(), New::defaults());
    }
}
