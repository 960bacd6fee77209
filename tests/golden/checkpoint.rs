//! The two layouts of the small model: whatever is read through either is the same, bit for bit.

use crate::support;
use pixtral::checkpoint::{Checkpoint, Format, TensorRows, count_non_finite};
use pixtral::config::inventory;
use safetensors::SafeTensors;

fn mistral() -> Option<Checkpoint> {
    let folder = support::section("checkpoint")?.join("mistral");
    Some(Checkpoint::open(&folder).unwrap())
}

fn all_rows(tensor: &dyn TensorRows) -> Vec<f32> {
    let mut out = vec![0.0; tensor.n_rows() as usize * tensor.row_len()];
    tensor.read_rows(0..tensor.n_rows(), &mut out).unwrap();
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn both_layouts_describe_the_same_model() {
    let (Some(mistral), Some(folder)) = (mistral(), support::hf_checkpoint()) else {
        return;
    };
    let hf = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(mistral.format(), Format::Mistral);
    assert_eq!(hf.format(), Format::HuggingFace);
    assert_eq!(mistral.config(), hf.config());
    assert_eq!(mistral.notes(), [""; 0]);
    assert_eq!(hf.notes(), [""; 0]);
    assert_ne!(mistral.config_sha256(), hf.config_sha256());
}

#[test]
fn every_tensor_is_bit_identical_through_both_layouts() {
    let (Some(mistral), Some(folder)) = (mistral(), support::hf_checkpoint()) else {
        return;
    };
    let hf = Checkpoint::open(folder.path()).unwrap();
    for spec in inventory(mistral.config()) {
        let ours = mistral.tensor(&spec).unwrap();
        let theirs = hf.tensor(&spec).unwrap();
        assert_eq!(ours.n_rows(), spec.n_rows(), "{}", spec.name);
        assert_eq!(ours.n_bytes(), theirs.n_bytes(), "{}", spec.name);
        let (a, b) = (all_rows(&ours), all_rows(&theirs));
        assert_eq!(bits(&a), bits(&b), "{}", spec.name);
        assert_eq!(count_non_finite(&a), 0, "{}", spec.name);

        // A few rows from the middle, after their pages were given back.
        let rows = spec.n_rows() / 3..spec.n_rows().min(spec.n_rows() / 3 + 5);
        let part = rows.start as usize * ours.row_len()..rows.end as usize * ours.row_len();
        for tensor in [&ours, &theirs] {
            tensor.release(rows.clone());
            tensor.will_need(rows.clone());
            let mut out = vec![0.0; part.len()];
            tensor.read_rows(rows.clone(), &mut out).unwrap();
            assert_eq!(bits(&out), bits(&a[part.clone()]), "{}", spec.name);
        }
    }
}

#[test]
fn rows_are_those_of_mistrals_file_in_its_order() {
    let Some(mistral) = mistral() else { return };
    let file = support::read(mistral.folder().join("consolidated.safetensors"));
    let file = SafeTensors::deserialize(&file).unwrap();
    let mut seen = 0;
    for spec in inventory(mistral.config()) {
        let tensor = mistral.tensor(&spec).unwrap();
        let stored = tensor.stored_rows(0..spec.n_rows()).unwrap();
        let same_bytes = file.tensors().into_iter().any(|(_, t)| t.data() == stored);
        assert!(
            same_bytes,
            "{}: no tensor of the file has these bytes",
            spec.name
        );
        let expected: Vec<u32> = stored
            .chunks_exact(2)
            .map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)
            .collect();
        assert_eq!(bits(&all_rows(&tensor)), expected, "{}", spec.name);
        seen += 1;
    }
    assert_eq!(seen, file.len());
}

#[test]
fn both_layouts_have_the_same_tokenizer() {
    let (Some(mistral), Some(folder)) = (mistral(), support::hf_checkpoint()) else {
        return;
    };
    let hf = Checkpoint::open(folder.path()).unwrap();
    let (a, b) = (mistral.tokenizer().unwrap(), hf.tokenizer().unwrap());
    assert_eq!(a.vocab_size(), b.vocab_size());
    for id in 0..a.vocab_size() {
        assert_eq!(a.token_bytes(id), b.token_bytes(id), "{id}");
        assert_eq!(a.special_name(id), b.special_name(id), "{id}");
    }
}
