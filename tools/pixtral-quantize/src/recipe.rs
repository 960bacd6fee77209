//! The arguments that make up a recipe, shared by converting and synthesising.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use pixtral::{
    Result,
    gguf::TensorType,
    quantize::{Recipe, TYPES, TensorOverride},
};

/// What differs from the recipe of a name.
#[derive(Args, Debug)]
pub struct RecipeArgs {
    /// Type of the vision tower and the projector [default: q8_0; for f32, bf16 and f16 that type]
    #[arg(long, value_name = "TYPE", value_parser = tensor_type(), hide_possible_values = true)]
    vision_type: Option<TensorType>,
    /// Type of the tensors whose name matches REGEX; may be given several times, later ones win
    ///
    /// The expression is searched for anywhere in names such as blk.0.attn_q.weight,
    /// blk.0.ffn_down.weight, token_embd.weight, output.weight, v.blk.0.attn_v.weight and
    /// mm.1.weight. Norms and biases are always f32.
    #[arg(long, value_name = "REGEX=TYPE")]
    tensor_type: Vec<TensorOverride>,
}

impl RecipeArgs {
    /// The recipe named after `base` with these differences.
    pub fn recipe(&self, base: TensorType) -> Result<Recipe> {
        let mut recipe = Recipe::new(base)?;
        if let Some(ty) = self.vision_type {
            recipe = recipe.with_vision_type(ty)?;
        }
        let exceptions = self.tensor_type.iter().cloned();
        Ok(exceptions.fold(recipe, Recipe::with_override))
    }
}

/// Reads one of the types that can be written.
pub fn tensor_type() -> impl TypedValueParser<Value = TensorType> {
    PossibleValuesParser::new(TYPES.map(TensorType::name))
        .try_map(|name| name.parse::<TensorType>())
}
