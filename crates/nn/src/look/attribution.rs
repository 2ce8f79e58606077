//! Which pixels mattered for one class.

use crate::model::Model;

/// The gradient of the logit of `class` by the image's pixels in 0..1 (before mean and std), `[C, H, W]`, in f64.
pub fn input_gradient(model: &Model, image: &[u8], class: usize) -> Vec<f64> {
    let _ = (model, image, class);
    unimplemented!()
}

/// For each pixel, by how much the cross-entropy of `class` rises, in nats, when the square of `side` pixels (odd) around it is
/// painted black in every channel; `[H, W]`. Negative where what was hidden spoke against the class.
pub fn occlusion(model: &Model, image: &[u8], class: usize, side: usize, threads: usize) -> Vec<f64> {
    let _ = (model, image, class, side, threads);
    unimplemented!()
}
