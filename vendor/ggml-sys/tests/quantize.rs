//! Our own quantising kernels give ggml's bytes, whatever the values, in every
//! build that this machine can run. A process can use only one build, so the test
//! starts this program again with the override set.

use std::env;
use std::process::Command;
use std::ptr;

use ggml_sys::quantize::quantize;
use ggml_sys::*;

/// Names the emulator that runs this program, if one does: a program cannot tell.
const RUNNER: &str = "GGML_SYS_TEST_RUNNER";

const TYPES: [ggml_type; 6] = [
    GGML_TYPE_Q2_K,
    GGML_TYPE_Q3_K,
    GGML_TYPE_Q4_K,
    GGML_TYPE_Q5_K,
    GGML_TYPE_Q6_K,
    GGML_TYPE_Q8_0,
];

/// Values of a super-block.
const BLOCK: usize = 256;

#[test]
fn bytes_are_those_of_ggml_in_every_supported_variant() {
    const TEST: &str = "bytes_are_those_of_ggml";
    let program = env::current_exe().expect("the test's own path");
    for variant in cpu::variants().iter().filter(|variant| variant.supported) {
        let mut command = match env::var_os(RUNNER) {
            Some(runner) => {
                let mut command = Command::new(runner);
                command.arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let output = command
            .args(["--exact", TEST, "--nocapture"])
            .env(cpu::ENV, variant.name)
            .output()
            .expect("the test program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", variant.name);
    }
}

/// Runs in whatever build the process has; the test above runs it in each.
#[test]
fn bytes_are_those_of_ggml() {
    let mut random = Random(1);
    for round in 0..40 {
        for (name, value) in FAMILIES {
            // Odd counts leave a super-block over in builds that take two at once.
            let n = BLOCK * (1 + (round + random.below(3)) % 6);
            let values: Vec<f32> = (0..n).map(|i| value(i, &mut random)).collect();
            for ty in TYPES {
                let expected = by_ggml(ty, &values);
                let mut found = vec![0xaa; expected.len()];
                if quantize(ty, &values, &mut found) {
                    let differs = (0..found.len()).find(|&i| found[i] != expected[i]);
                    assert_eq!(differs, None, "{name} as type {ty}: byte that differs");
                }
            }
        }
    }
}

#[test]
fn processors_with_avx2_use_our_kernels() {
    let chosen = cpu::select(None).expect("some build runs here");
    let mut out = vec![0; by_ggml(GGML_TYPE_Q4_K, &[0.0; BLOCK]).len()];
    let ours = quantize(GGML_TYPE_Q4_K, &[0.0; BLOCK], &mut out);
    if chosen.starts_with("avx") {
        assert!(ours, "{chosen}");
    }
    let mut out = vec![0; by_ggml(GGML_TYPE_Q4_0, &[0.0; BLOCK]).len()];
    assert!(!quantize(GGML_TYPE_Q4_0, &[0.0; BLOCK], &mut out));
}

/// How value number `i` of a row is drawn.
type Family = fn(i: usize, random: &mut Random) -> f32;

/// Rows as models have them, and rows that no search was made for.
const FAMILIES: [(&str, Family); 18] = [
    ("weights", |_, r| bf16(0.02 * r.normal())),
    ("weights in f32", |_, r| 0.02 * r.normal()),
    ("uniform", |_, r| r.uniform()),
    ("heavy tails", |_, r| {
        1e-2 * r.normal() * (3.0 * r.normal()).exp()
    }),
    ("zeros", |_, _| 0.0),
    ("a constant", |_, _| 0.7),
    ("a negative constant", |_, _| -0.7),
    ("constants in blocks", |i, _| [0.0, 1.5, -2.0][i / 32 % 3]),
    ("negative only", |_, r| -r.normal().abs()),
    ("positive only", |_, r| 1e3 * r.normal().abs()),
    ("almost equal", |_, r| -1.0 - 1e-6 * r.uniform()),
    ("small whole numbers", |_, r| (2.0 * r.normal()).round()),
    ("denormals", |_, r| 1e-40 * r.normal()),
    ("huge", |_, r| 1e35 * r.normal()),
    ("all magnitudes", |_, r| {
        r.normal() * 2f32.powi(r.below(200) as i32 - 100)
    }),
    ("a magnitude for each block", |i, r| {
        r.normal() * 2f32.powi((i / 16 * 7 % 60) as i32 - 30)
    }),
    ("outliers", |_, r| {
        r.normal() * if r.below(50) == 0 { 1e3 } else { 1e-3 }
    }),
    (
        "sparse",
        |_, r| if r.below(20) == 0 { r.normal() } else { 0.0 },
    ),
];

fn bf16(value: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0xffff_0000)
}

fn by_ggml(ty: ggml_type, values: &[f32]) -> Vec<u8> {
    // SAFETY: the output has room for the values, which are whole blocks.
    unsafe {
        let n = values.len() as i64;
        let mut out = vec![0; ggml_row_size(ty, n)];
        let to = out.as_mut_ptr().cast();
        ggml_quantize_chunk(ty, values.as_ptr(), to, 0, 1, n, ptr::null());
        out
    }
}

/// A linear congruential generator with Knuth's constants: the same on every run.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u32 {
        let next = self.0.wrapping_mul(6364136223846793005);
        self.0 = next.wrapping_add(1442695040888963407);
        (self.0 >> 32) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.bits() as usize % n
    }

    /// In [-1, 1).
    fn uniform(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// About normal, as the sum of twelve uniform values is.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() / 2.0
    }
}
