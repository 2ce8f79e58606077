//! A trained network without the batch norms that can be part of the layer before them, as evaluation and export compute
//! it: by its running moments, a batch norm multiplies each channel by a number and adds another, and so can weights and
//! a bias.

use super::architecture::{Architecture, LayerInfo, ParamSpec, Source};
use super::layer::Layer;
use super::parameters::Model;

impl Architecture {
    /// For each layer that a batch norm can be part of, its number and the batch norm's: a convolution or linear layer
    /// that nothing else reads.
    fn foldable(&self) -> Vec<(usize, usize)> {
        let readers = |at: usize| {
            self.layers().iter().flat_map(|info| &info.inputs).filter(|&&input| input == Source::Layer(at)).count()
        };
        let folds = |(norm, info): (usize, &LayerInfo)| match (info.layer, &info.inputs[..]) {
            (Layer::BatchNorm { .. }, &[Source::Layer(before)]) => {
                let multiplies = matches!(
                    self.layers()[before].layer,
                    Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Linear { .. }
                );
                (multiplies && readers(before) == 1).then_some((before, norm))
            }
            _ => None,
        };
        self.layers().iter().enumerate().filter_map(folds).collect()
    }
}

impl Model {
    /// The same network, but for rounding, with batch norms folded into the layers before them; `None` where there is
    /// none to fold. The values are those of now.
    pub(crate) fn folded(&self) -> Option<Model> {
        let whole = self.architecture();
        let foldable = whole.foldable();
        if foldable.is_empty() {
            return None;
        }
        let folded_into = |norm: usize| foldable.iter().find(|&&(_, at)| at == norm).map(|&(before, _)| before);
        let mut layers = Vec::<LayerInfo>::new();
        // Where a layer's output comes from now.
        let mut places = Vec::new();
        for (at, info) in whole.layers().iter().enumerate() {
            if let Some(before) = folded_into(at) {
                places.push(places[before]);
                continue;
            }
            let source = |&source: &Source| match source {
                Source::Images => Source::Images,
                Source::Layer(layer) => Source::Layer(places[layer]),
            };
            let has_bias = info.has_bias || foldable.iter().any(|&(before, _)| before == at);
            let inputs = info.inputs.iter().map(source).collect();
            places.push(layers.len());
            layers.push(LayerInfo { inputs, has_bias, ..info.clone() });
        }
        let architecture = whole.with_layers(layers);
        let values = |spec: &ParamSpec| {
            let (layer, kind) = spec.name.rsplit_once('.').expect("an array is called after its layer");
            let Some(&(before, norm)) = foldable.iter().find(|&&(before, _)| whole.layers()[before].name == layer)
            else {
                return self.array(&spec.name);
            };
            let (weight, bias) = self.folded_arrays(&whole.layers()[before], &whole.layers()[norm]);
            if kind == "weight" { weight } else { bias }
        };
        let arrays: Vec<_> = architecture.params().iter().map(values).collect();
        Some(Model::from_values(architecture, &arrays, self.pixels().clone()).with_precision(self.precision()))
    }

    /// The weight and the bias of a layer and the batch norm behind it, rounded once.
    fn folded_arrays(&self, before: &LayerInfo, norm: &LayerInfo) -> (Vec<f32>, Vec<f32>) {
        let Layer::BatchNorm { eps, .. } = norm.layer else { unreachable!("a batch norm is folded") };
        let array = |layer: &LayerInfo, kind: &str| self.array(&format!("{}.{kind}", layer.name));
        let [scale, shift, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|kind| array(norm, kind));
        let factor = |channel: usize| f64::from(scale[channel]) / (f64::from(variance[channel]) + eps).sqrt();
        let mut weight = array(before, "weight");
        let inputs = weight.len() / scale.len();
        for (channel, weights) in weight.chunks_exact_mut(inputs).enumerate() {
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor(channel)) as f32);
        }
        let bias = if before.has_bias { array(before, "bias") } else { vec![0.0; scale.len()] };
        let shifted = |(channel, bias): (usize, f32)| {
            (f64::from(shift[channel]) + (f64::from(bias) - f64::from(mean[channel])) * factor(channel)) as f32
        };
        (weight, bias.into_iter().enumerate().map(shifted).collect())
    }

    fn array(&self, name: &str) -> Vec<f32> {
        self.tensor(name).unwrap_or_else(|| panic!("there is no array {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, ImageShape};
    use crate::evaluate::{Evaluator, logits};
    use crate::look::trace;
    use crate::model::{ParamKind, blocks};
    use crate::precision::Precision;
    use crate::rng::{Rng, Stream};
    use crate::train::Pixels;

    const IMAGE: ImageShape = ImageShape { channels: 2, height: 11, width: 10 };

    /// A network whose arrays, moments among them, are all unlike those at the beginning.
    fn model(layers: &[&str]) -> Model {
        let architecture = Architecture::of_blocks(IMAGE, blocks(layers), 3).expect("fits");
        let array = |(number, spec): (usize, &ParamSpec)| {
            let rng = Rng::new(number as u64, Stream::Init, 0);
            let width = if spec.shape.len() > 1 { (2.0 / spec.fan_in as f32).sqrt() } else { 0.5 };
            let value = |j: usize| width * rng.normal_at(j as u64);
            let positive = matches!(spec.kind, ParamKind::RunningVariance);
            (0..spec.len()).map(|j| if positive { 0.1 + value(j).abs() } else { value(j) }).collect()
        };
        let arrays: Vec<Vec<f32>> = architecture.params().iter().enumerate().map(array).collect();
        Model::from_values(architecture, &arrays, Pixels::default())
    }

    fn images(count: usize) -> Dataset {
        let pixels = (0..count * IMAGE.len()).map(|at| (at * at * 31 % 251) as u8).collect();
        Dataset::new(pixels, vec![0; count], IMAGE, 3).expect("images")
    }

    /// A trace takes every layer by itself, as training does.
    #[test]
    fn evaluation_gives_the_logits_of_separate_layers() {
        for layers in [
            &["conv 5 3x3 same", "batchnorm", "relu", "conv 17 3x3 same", "batchnorm", "relu", "maxpool 2", "linear 3"]
                [..],
            &["conv 4 3x3", "maxpool 2", "batchnorm eps 1e-2", "linear 9", "batchnorm", "tanh", "linear 3"],
            &[
                "conv 4 3x3 same",
                "batchnorm",
                "[conv 4 3x3 same, batchnorm, relu, conv 4 3x3 same, batchnorm]",
                "relu",
                "[conv 6 3x3 stride 2 same, batchnorm]",
                "gelu",
                "global-avgpool",
                "linear 3",
            ],
            &["batchnorm", "conv 4 3x3", "relu", "batchnorm", "linear 3"],
            &[
                "conv 4 3x3 same",
                "batchnorm",
                "depthwise 3x3 same",
                "batchnorm",
                "relu",
                "conv 6 3x3 groups 2",
                "batchnorm",
                "linear 3",
            ],
        ] {
            let (model, images) = (model(layers), images(5));
            let of = |model: &Model| logits(&mut Evaluator::new(model, 5, 2), model, &images, 2);
            let folded = of(&model);
            let apart: Vec<f32> = images
                .pixels()
                .chunks_exact(IMAGE.len())
                .flat_map(|image| trace(&model, image).outputs.pop().expect("logits"))
                .collect();
            let scale = apart.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
            // Sums of some hundred terms in another order, through up to five layers.
            let near =
                |tolerance: f32, of: &[f32]| of.iter().zip(&apart).all(|(a, b)| (a - b).abs() <= tolerance * scale);
            assert!(near(1e-5, &folded), "{layers:?}: {folded:?}, apart {apart:?}");
            // Rounded to eight bits where operands are.
            for precision in [Precision::Bf16, Precision::Bf16Tile] {
                let (rounded, name) = (of(&model.clone().with_precision(precision)), precision.name());
                assert!(near(5e-2, &rounded), "{layers:?} in {name}: {rounded:?}, in f32 {apart:?}");
            }
        }
    }

    #[test]
    fn only_what_is_right_behind_a_layer_is_folded() {
        let names = |layers: &[&str]| {
            let folded = model(layers).folded();
            folded.map(|m| m.architecture().params().iter().map(|spec| spec.name.clone()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(&["conv 4 3x3", "relu", "linear 3"]), None);
        assert_eq!(names(&["batchnorm", "linear 3"]), None);
        let folded = names(&["conv 4 3x3", "batchnorm", "[conv 4 3x3 same]", "batchnorm", "linear 3"]).expect("one is");
        assert!(
            folded.starts_with("conv1.weight conv1.bias block1.conv1.weight block1.conv1.bias bn2.weight bn2.bias"),
            "{folded}"
        );
    }
}
