//! The texts of Metal's kernels that the feature `metal` embeds are whole, which can be seen on
//! any system; compiling them takes Apple's.

#[path = "../build/metal_source.rs"]
mod metal_source;

use std::{fs, path::Path};

const SOURCE: &str = env!("GGML_SYS_SOURCE");

#[test]
fn every_library_that_the_backend_looks_for_is_embedded() {
    let device = Path::new(SOURCE).join("ggml-metal/ggml-metal-device.m");
    let text = fs::read_to_string(device).unwrap();
    let list = text.split("#define GGML_METAL_LIBS").nth(1).unwrap();
    let mut expected: Vec<&str> = (list.lines().skip(1))
        .map_while(|line| line.trim().strip_prefix("X("))
        .map(|line| line.split([',', ')']).nth(1).unwrap().trim())
        .collect();
    expected.sort();
    assert!(expected.len() > 30, "{expected:?}");
    assert_eq!(metal_source::kernels(Path::new(SOURCE)).unwrap(), expected);
}

#[test]
fn no_text_needs_a_file_and_each_holds_every_part_once() {
    for kernel in metal_source::kernels(Path::new(SOURCE)).unwrap() {
        let text = metal_source::merged(Path::new(SOURCE), &kernel).unwrap();
        assert!(!text.contains("#include \""), "{kernel}");
        assert!(!text.contains("__embed"), "{kernel}");
        let times = |part: &str| text.matches(part).count();
        assert_eq!(times("using namespace metal;"), 1, "{kernel}: common.h");
        assert_eq!(
            times("} ggml_metal_kargs_bin;"),
            1,
            "{kernel}: ggml-metal-impl.h"
        );
        let block_types = times("} block_q4_0;");
        let uses_them = text.contains("void dequantize_q4_0(");
        assert_eq!(
            block_types,
            usize::from(uses_them),
            "{kernel}: ggml-common.h"
        );
    }
}
