//! Elementwise functions in place, and their slopes: part of whatever operation comes before.

use crate::layout::{Layout, for_rows};
use tenfold_kernels::activation::{Activation, activation_backward, activation_forward};
use tenfold_kernels::{Isa, Planes};

/// Applies an activation to the pixels of real channels; everything else stays zero.
pub(super) fn forward(isa: Isa, activation: Activation, layout: &Layout, values: &mut [f32]) {
    match layout {
        // Where zero stays zero, padding may be treated like the rest.
        _ if activation != Activation::Sigmoid => activation_forward(isa, activation, values),
        Layout::Row { features, .. } => activation_forward(isa, activation, &mut values[..*features]),
        Layout::Planes(planes) => {
            each_pixel(planes, |at, lanes| activation_forward(isa, activation, &mut values[at..at + lanes]));
        }
    }
}

/// Multiplies `grad` by the slope of the activation that gave `y`; `grad_layout` is `layout` without border.
pub(super) fn backward(
    isa: Isa,
    activation: Activation,
    layout: &Layout,
    y: &[f32],
    grad_layout: &Layout,
    grad: &mut [f32],
) {
    for_rows(layout, grad_layout, |from, to| activation_backward(isa, activation, &y[from], &mut grad[to]));
}

/// Calls `f` with the place of each pixel and how many real channels it has there.
fn each_pixel(planes: &Planes, mut f: impl FnMut(usize, usize)) {
    for block in 0..planes.blocks() {
        let lanes = planes.lanes().min(planes.channels() - block * planes.lanes());
        for y in 0..planes.height() {
            for x in 0..planes.width() {
                f(planes.offset(block, y, x), lanes);
            }
        }
    }
}
