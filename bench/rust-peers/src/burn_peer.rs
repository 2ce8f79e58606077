//! A recipe in burn, on its flex backend.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tenfold_nn::data::Dataset;
use tenfold_nn::model::{Architecture, Layer, LayerInfo, Padding, Shape};
use tenfold_nn::optim::Optimizer;
use tenfold_study::Recipe;

use crate::batches::{Batches, pixels_f32};
use crate::{Step, check_parameters};

pub(crate) fn step(architecture: &Architecture, recipe: &Recipe, train: &Dataset) -> Step {
    let device = Device::flex().autodiff();
    let network = Network::new(architecture, &device);
    check_parameters(architecture, network.num_params());
    let Optimizer::Adam { lr, betas, eps, .. } = recipe.optimizer else { panic!("recipes are trained with Adam") };
    let adam = AdamConfig::new().with_beta_1(betas[0] as f32).with_beta_2(betas[1] as f32).with_epsilon(eps as f32);
    let mut adam = adam.init();
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);

    let (n, shape) = (train.len(), train.shape());
    let pixels = TensorData::new(pixels_f32(train), [n, shape.channels, shape.height, shape.width]);
    let images = Tensor::<4>::from_data(pixels, &device);
    let labels = integers(train.labels().iter().map(|&label| label.into()), &device);
    let mut batches = Batches::new(n, recipe.batch_size);
    // An update consumes the network and gives the next one.
    let mut network = Some(network);
    Box::new(move || {
        let batch = integers(batches.next().iter().map(|&n| n.into()), &device);
        let before = network.take().expect("every step puts one back");
        let logits = before.forward(images.clone().select(0, batch.clone()));
        let loss = cross_entropy.forward(logits, labels.clone().select(0, batch));
        let gradients = GradientsParams::from_grads(loss.backward(), &before);
        network = Some(adam.step(lr, before, gradients));
        loss.into_scalar()
    })
}

fn integers(values: impl Iterator<Item = i64>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// The layers before the first linear one work on images, the others on rows.
#[derive(Module, Debug)]
struct Network {
    on_images: Vec<Operation>,
    on_rows: Vec<Operation>,
}

#[derive(Module, Debug)]
enum Operation {
    Conv(Conv2d),
    MaxPool(MaxPool2d),
    Linear(Linear),
    Dropout(Dropout),
    Relu(Relu),
}

impl Network {
    fn new(architecture: &Architecture, device: &Device) -> Network {
        let layers = architecture.layers();
        let linear = |info: &LayerInfo| matches!(info.layer, Layer::Linear { .. });
        let images = layers.iter().position(linear).expect("the last layer is linear");
        let operations = |layers: &[LayerInfo]| layers.iter().map(|info| Operation::new(info, device)).collect();
        Network { on_images: operations(&layers[..images]), on_rows: operations(&layers[images..]) }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let images = self.on_images.iter().fold(images, |x, operation| match operation {
            Operation::Conv(conv) => conv.forward(x),
            Operation::MaxPool(pool) => pool.forward(x),
            Operation::Relu(relu) => relu.forward(x),
            Operation::Dropout(dropout) => dropout.forward(x),
            Operation::Linear(_) => unreachable!("begins the rows"),
        });
        self.on_rows.iter().fold(images.flatten(1, 3), |x, operation| match operation {
            Operation::Linear(linear) => linear.forward(x),
            Operation::Relu(relu) => relu.forward(x),
            Operation::Dropout(dropout) => dropout.forward(x),
            Operation::Conv(_) | Operation::MaxPool(_) => unreachable!("works on images"),
        })
    }
}

impl Operation {
    fn new(info: &LayerInfo, device: &Device) -> Operation {
        match (info.layer, info.input) {
            (
                Layer::Conv { out_channels, kernel_size, stride: (1, 1), padding: Padding::Same },
                Shape::Image(input),
            ) => {
                let conv = Conv2dConfig::new([input.channels, out_channels], kernel_size.into());
                Operation::Conv(conv.with_padding(PaddingConfig2d::Same).init(device))
            }
            (Layer::MaxPool { kernel_size, stride }, _) => {
                Operation::MaxPool(MaxPool2dConfig::new(kernel_size.into()).with_strides(stride.into()).init())
            }
            (Layer::Linear { out_features }, input) => {
                Operation::Linear(LinearConfig::new(input.len(), out_features).init(device))
            }
            (Layer::Dropout { probability }, _) => Operation::Dropout(DropoutConfig::new(probability).init()),
            (Layer::Relu, _) => Operation::Relu(Relu::new()),
            (layer, _) => panic!("no recipe has the layer {layer}"),
        }
    }
}
