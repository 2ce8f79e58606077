//! A recipe in candle.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Conv2dConfig, Module, Optimizer as _, ParamsAdamW, Sequential, VarBuilder, VarMap};
use tenfold_nn::data::Dataset;
use tenfold_nn::model::{Architecture, Layer, Shape};
use tenfold_nn::optim::Optimizer;
use tenfold_study::Recipe;

use crate::batches::{Batches, pixels_f32};
use crate::{Step, check_parameters};

pub(crate) fn step(architecture: &Architecture, recipe: &Recipe, train: &Dataset) -> Result<Step> {
    let device = Device::Cpu;
    let variables = VarMap::new();
    let network = network(architecture, VarBuilder::from_varmap(&variables, DType::F32, &device))?;
    check_parameters(architecture, variables.all_vars().iter().map(|variable| variable.elem_count()).sum());
    let Optimizer::Adam { lr, betas: [beta1, beta2], eps, .. } = recipe.optimizer else {
        panic!("recipes are trained with Adam")
    };
    // Without decay, AdamW is Adam.
    let mut adam = AdamW::new(variables.all_vars(), ParamsAdamW { lr, beta1, beta2, eps, weight_decay: 0.0 })?;

    let (n, shape) = (train.len(), train.shape());
    let images = Tensor::from_vec(pixels_f32(train), (n, shape.channels, shape.height, shape.width), &device)?;
    let labels: Vec<u32> = train.labels().iter().map(|&label| label.into()).collect();
    let labels = Tensor::from_vec(labels, n, &device)?;
    let mut batches = Batches::new(n, recipe.batch_size);
    let mut step = move || -> Result<f32> {
        let batch = Tensor::new(batches.next(), &device)?;
        let logits = network.forward(&images.index_select(&batch, 0)?)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &labels.index_select(&batch, 0)?)?;
        adam.backward_step(&loss)?;
        loss.to_scalar()
    };
    Ok(Box::new(move || step().expect("candle computes")))
}

fn network(architecture: &Architecture, variables: VarBuilder) -> Result<Sequential> {
    let mut network = candle_nn::seq();
    for info in architecture.layers() {
        let variables = variables.pp(&info.name);
        network = match (info.layer, info.input) {
            (Layer::Conv { out_channels, kernel_size, stride: (1, 1), padding }, Shape::Image(input))
                if kernel_size.0 == kernel_size.1 =>
            {
                let config = Conv2dConfig { padding: padding.of(kernel_size).0, ..Conv2dConfig::default() };
                network.add(candle_nn::conv2d(input.channels, out_channels, kernel_size.0, config, variables)?)
            }
            (Layer::MaxPool { kernel_size, stride }, _) => {
                network.add_fn(move |x| x.max_pool2d_with_stride(kernel_size, stride))
            }
            (Layer::Linear { out_features }, input) => {
                let linear = candle_nn::linear(input.len(), out_features, variables)?;
                network.add_fn(|x| x.flatten_from(1)).add(linear)
            }
            (Layer::Dropout { probability }, _) => {
                network.add_fn(move |x| candle_nn::ops::dropout(x, probability as f32))
            }
            (Layer::Relu, _) => network.add_fn(|x| x.relu()),
            (layer, _) => panic!("no recipe has the layer {layer}"),
        };
    }
    Ok(network)
}
