//! stub
/// stub
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// stub
    pub rows: u32,
    /// stub
    pub cols: u32,
}
/// stub
#[derive(Clone, Debug)]
pub struct PreparedImage {
    /// stub
    pub pixels: Vec<f32>,
    /// stub
    pub width: u32,
    /// stub
    pub height: u32,
    /// stub
    pub grid: Patches,
}
impl PreparedImage {
    /// stub
    pub fn patch_rows(&self, p: u32) -> Vec<f32> {
        let (w, h, p) = (self.width as usize, self.height as usize, p as usize);
        let mut out = Vec::new();
        for r in 0..h / p {
            for c in 0..w / p {
                for ch in 0..3 {
                    for y in 0..p {
                        for x in 0..p {
                            out.push(self.pixels[ch * w * h + (r * p + y) * w + c * p + x]);
                        }
                    }
                }
            }
        }
        out
    }
}
