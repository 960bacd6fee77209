//! stub
/// stub
#[derive(Clone, Debug)]
pub struct Prompt {
    /// stub
    pub ids: Vec<u32>,
    /// stub
    pub images: Vec<crate::preprocess::PreparedImage>,
}
