//! What is written is what is read.

use super::support::{self, content};
use pixtral::gguf::{Array, File, Metadata, Plan, PlannedTensor, TensorType, Value};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        (-1e30f32..1e30).prop_map(Value::F32),
        (-1e300f64..1e300).prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
        arrays().prop_map(Value::Array),
    ]
}

fn arrays() -> impl Strategy<Value = Array> {
    fn many<T: Arbitrary + 'static>() -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(any::<T>(), 0..5)
    }
    prop_oneof![
        many().prop_map(Array::U8),
        many().prop_map(Array::I8),
        many().prop_map(Array::U16),
        many().prop_map(Array::I16),
        many().prop_map(Array::U32),
        many().prop_map(Array::I32),
        many().prop_map(Array::U64),
        many().prop_map(Array::I64),
        prop::collection::vec(-1e30f32..1e30, 0..5).prop_map(Array::F32),
        prop::collection::vec(-1e300f64..1e300, 0..5).prop_map(Array::F64),
        many().prop_map(Array::Bool),
        many().prop_map(Array::String),
    ]
}

/// Keys that the format itself gives a meaning to are left to tests of their own.
fn metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::btree_map("k[a-z.]{0,20}", values(), 0..8).prop_map(|entries| {
        let mut metadata = Metadata::new();
        for (key, value) in entries {
            metadata.insert(key, value);
        }
        metadata
    })
}

fn tensors() -> impl Strategy<Value = Vec<PlannedTensor>> {
    let tensor = (
        prop::sample::select(TensorType::ALL.to_vec()),
        prop::collection::vec(1u64..4, 1..5),
        prop::sample::select(vec![1u64, 32, 64, 4096]),
    );
    prop::collection::vec(tensor, 0..6).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(i, (ty, mut dims, align))| {
                dims[0] *= ty.block_size();
                PlannedTensor {
                    name: format!("t.{i}"),
                    ty,
                    dims,
                    align,
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_comes_back_as_it_was_planned(metadata in metadata(), tensors in tensors()) {
        let plan = Plan::new(metadata.clone(), tensors).unwrap();
        let size = plan.file_size();
        let bytes = support::bytes_of(plan.clone());
        prop_assert_eq!(bytes.len() as u64, size);
        let file = File::from_bytes("x.gguf", &bytes).unwrap();
        for (key, value) in metadata.iter() {
            prop_assert_eq!(file.metadata().get(key), Some(value));
        }
        prop_assert_eq!(file.tensors(), plan.places());
        for (index, (tensor, planned)) in file.tensors().iter().zip(plan.tensors()).enumerate() {
            prop_assert!(tensor.offset.is_multiple_of(planned.align));
            prop_assert_eq!(file.data(tensor), content(&plan, index));
        }
        file.verify(|_, _| std::ops::ControlFlow::Continue(())).unwrap();
    }
}
