//! What every layer makes of one image.

use crate::batch::Batch;
use crate::data::Dataset;
use crate::model::{Model, Source};
use crate::plan::Plan;
use crate::step::{Learn, Step, StepOf};
use crate::workers::on_threads;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::softmax_cross_entropy::softmax;
use tenfold_kernels::{Isa, LANES};

/// What every layer makes of one image.
#[derive(Clone, PartialEq, Debug)]
pub struct Trace {
    /// The output of each layer of the architecture, in its order and its shape: `[C, H, W]` or a row. That of a
    /// convolution or linear layer is before the activation, which is a layer of its own; dropout passes on what it
    /// gets. The last are the logits.
    pub outputs: Vec<Vec<f32>>,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

/// What every layer makes of one image of the network's input shape, `[C, H, W]`.
///
/// # Panics
/// If the image has another size.
pub fn trace(model: &Model, image: &[u8]) -> Trace {
    let (architecture, isa) = (model.architecture(), Isa::detect());
    let (shape, classes) = (architecture.input(), architecture.classes());
    assert_eq!(image.len(), shape.len(), "pixels of an image of {shape}");
    let data = Dataset::new(image.to_vec(), vec![0], shape, classes).expect("an image of the network's shape");
    let plan = Plan::new(&model.unfused(), 1, false);
    let (mut memory, mut scratch) = (plan.memory(), [plan.scratch()]);
    let pixels = model.pixels().table(shape);
    let of = StepOf { isa, seed: 0, classes, pixels: &pixels };
    let step = Step::new(&plan, of, &mut memory, Arena::shared(model.values.as_slice()), Learn::Nothing);
    on_threads(
        1,
        &mut scratch,
        |_, _| {},
        |worker, scratch| {
            step.forward(worker, scratch, &Batch::evaluated(&data, &[0]), plan.graph.nodes.len());
        },
    );
    let image: Vec<f32> = image.iter().enumerate().map(|(at, &pixel)| pixels.at(at, pixel)).collect();
    let mut outputs: Vec<Vec<f32>> = Vec::with_capacity(architecture.layers().len());
    for (layer, info) in architecture.layers().iter().enumerate() {
        outputs.push(match (plan.graph.node_of_layer(layer), info.inputs[0]) {
            (Some(at), _) => step.output(at, 0, |packed, layout| layout.unpacked(packed)),
            // Flatten is no operation: in the order `[C, H, W]` it changes nothing.
            (None, Source::Images) => image.clone(),
            (None, Source::Layer(before)) => outputs[before].clone(),
        });
    }
    let mut values = outputs.last().expect("a network has a layer").clone();
    let mut probabilities = vec![0.0; classes];
    values.resize(classes.next_multiple_of(LANES), 0.0);
    softmax(isa, &values, values.len(), classes, &mut probabilities);
    Trace { outputs, probabilities }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;
    use crate::look::testing::{build, fixture, noise};
    use crate::model::Init;
    use crate::reference::LayerReference;
    use crate::train::testing::assert_near;
    use crate::train::{PerChannel, Pixels};

    const CHAINS: [&[&str]; 19] = [
        &["linear 5"],
        &["whiten 3x3 same", "relu", "maxpool 2", "conv 9 3x3 same", "linear 5"],
        &["whiten 2x3 stride 2x1", "batchnorm", "gelu", "depthwise 3x3", "linear 5"],
        &[
            "conv 18 3x3 same",
            "silu",
            "depthwise 3x3 stride 2 same",
            "leakyrelu 0.1",
            "conv 9 1x1 groups 9",
            "linear 5",
        ],
        &[
            "depthwise 3x3",
            "silu",
            "silu",
            "conv 32 2x2",
            "leakyrelu 0.3",
            "maxpool 2",
            "conv 64 3x3 groups 2",
            "linear 5",
        ],
        &[
            "conv 4 3x3 same",
            "relu",
            "[conv 4 3x3 same, batchnorm, relu, conv 4 3x3 same]",
            "relu",
            "maxpool 2",
            "linear 5",
        ],
        &["[conv 17 5x5 stride 2 same, batchnorm, relu]", "relu", "[tanh]", "linear 9", "[relu, linear 9]", "linear 5"],
        &["conv 17 3x3 same", "batchnorm", "relu", "maxpool 2", "conv 3 3x3", "maxpool 2", "batchnorm", "linear 5"],
        &["batchnorm", "linear 20", "batchnorm eps 0.1", "sigmoid", "linear 18", "batchnorm", "gelu", "linear 5"],
        &["flatten", "tanh", "dropout 0.5", "linear 40", "relu", "dropout 0.1", "linear 5"],
        &["sigmoid", "linear 70", "sigmoid", "tanh", "linear 5"],
        &["conv 3 3x3 same", "relu", "maxpool 2", "conv 4 2x3 stride 2x1", "tanh", "flatten", "relu", "linear 5"],
        &["conv 17 5x5 same", "relu", "maxpool 2", "conv 16 5x5 same", "relu", "maxpool 2", "linear 9", "linear 5"],
        &["conv 16 3x3 padding 1", "sigmoid", "conv 18 3x3 padding 2", "sigmoid", "avgpool 3 stride 2", "linear 5"],
        &["dropout 0.3", "relu", "conv 3 3x3", "dropout 0.2", "relu", "maxpool 3 stride 1", "dropout 0.2", "linear 5"],
        &["avgpool 2 stride 1", "flatten", "flatten", "linear 20", "linear 5"],
        &["maxpool 2", "conv 2 1x1", "relu", "maxpool 2", "relu", "linear 5"],
        &["conv 17 3x3 same", "relu", "global-avgpool", "tanh", "conv 5 1x1", "global-avgpool", "linear 5"],
        &["gelu", "conv 17 3x3 same", "gelu", "conv 3 3x3 padding 2", "gelu", "linear 20", "gelu", "linear 5"],
    ];

    /// Every layer's output against that of the reference, from what the trace says came in: nothing of an earlier
    /// layer's rounding is in the difference. Sums of a few hundred terms in f32 are off by a few millionths of the
    /// largest.
    #[test]
    fn every_layer_is_the_references() {
        for layers in CHAINS {
            for channels in [1, 3] {
                let net = build((channels, 13, 12), layers);
                let each = |first: f64| {
                    PerChannel::Each((0..net.input().channels).map(|channel| first + 0.1 * channel as f64).collect())
                };
                let pixels = Pixels { mean: each(0.13), std: each(0.31) };
                let model = Model::new(net.clone(), Init::Xavier, 3, pixels);
                let image = noise(net.input(), 8);
                let trace = trace(&model, &image);
                let table = model.pixels().table(net.input());
                let image: Vec<f64> = image.iter().enumerate().map(|(at, &p)| f64::from(table.at(at, p))).collect();
                let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                assert_eq!(trace.outputs.len(), net.layers().len());
                for (info, output) in net.layers().iter().zip(&trace.outputs) {
                    let inputs: Vec<Vec<f64>> = info
                        .inputs
                        .iter()
                        .map(|source| match source {
                            Source::Images => image.clone(),
                            Source::Layer(at) => wide(&trace.outputs[*at]),
                        })
                        .collect();
                    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
                    let what = format!("{} of {layers:?}", info.name);
                    let expected = LayerReference::new(&model, info).forward(&inputs).0;
                    assert_near(&wide(output), &expected, 3e-6, &what);
                }
            }
        }
    }

    /// Layers run together and by themselves give the same bits.
    #[test]
    fn probabilities_are_those_of_evaluation() {
        for layers in CHAINS {
            let net = build((3, 13, 12), layers);
            let model = Model::new(net.clone(), Init::Xavier, 3, Pixels::default());
            let image = noise(net.input(), 9);
            let data = Dataset::new(image.clone(), vec![0], net.input(), 5).expect("whole");
            let (found, expected) = (trace(&model, &image).probabilities, evaluate(&model, &data, 1).probabilities);
            // To the bit, but for a batch norm that evaluation makes part of the layer before it.
            let tolerance = if model.folded().is_some() { 1e-6 } else { 0.0 };
            let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= tolerance);
            assert!(near, "{layers:?}: {found:?}, evaluated {expected:?}");
        }
    }

    /// PyTorch's in f64; its own f32 is off by up to 6e-7 of the largest, and ours may be by a few times that.
    #[test]
    fn every_layer_is_pytorchs() {
        let (fixture, model, image) = fixture();
        let trace = trace(&model, &image);
        for (info, output) in model.architecture().layers().iter().zip(&trace.outputs) {
            let output: Vec<f64> = output.iter().map(|&v| f64::from(v)).collect();
            fixture.check(&format!("output.{}", info.name), None, &output, 3e-6);
        }
        let probabilities: Vec<f64> = trace.probabilities.iter().map(|&p| f64::from(p)).collect();
        fixture.check("probabilities", None, &probabilities, 3e-6);
    }

    #[test]
    #[should_panic(expected = "pixels of an image of")]
    fn an_image_has_the_size_of_the_input() {
        let model = Model::new(build((1, 4, 4), &["linear 5"]), Init::Zero, 0, Pixels::default());
        trace(&model, &[0; 32]);
    }
}
