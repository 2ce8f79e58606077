use super::*;
use crate::model::blocks;

const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const COLOUR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

fn build(layers: &[&str], input: ImageShape) -> Result<Architecture, ArchitectureError> {
    Architecture::of_blocks(input, blocks(layers), 10)
}

#[test]
fn a_residual_block_adds_its_input_or_a_projection_of_it() {
    let layers = [
        "conv 16 3x3 same",
        "[conv 16 3x3 same, batchnorm, relu, conv 16 3x3 same, batchnorm]",
        "relu",
        "[conv 32 3x3 stride 2 same, relu]",
        "linear 20",
        "[linear 20, tanh]",
        "linear 10",
    ];
    let net = build(&layers, MNIST).expect("fits");
    let names: Vec<&str> = net.layers().iter().map(|info| info.name.as_str()).collect();
    let expected = [
        "conv1",
        "block1.conv1",
        "block1.bn1",
        "block1.relu1",
        "block1.conv2",
        "block1.bn2",
        "block1",
        "relu1",
        "block2.conv1",
        "block2.relu1",
        "block2.shortcut.conv",
        "block2.shortcut.bn",
        "block2",
        "fc1",
        "block3.fc1",
        "block3.tanh1",
        "block3",
        "fc2",
    ];
    assert_eq!(names, expected);
    let info = |name: &str| net.layers().iter().find(|info| info.name == name).expect("a layer");
    assert_eq!(info("block1").inputs, [Source::Layer(5), Source::Layer(0)]);
    assert_eq!(info("block2").inputs, [Source::Layer(9), Source::Layer(11)]);
    assert_eq!(info("block2.shortcut.conv").inputs, [Source::Layer(7)]);
    assert_eq!(info("block2.shortcut.conv").layer.to_string(), "conv 32 1x1 stride 2 valid");
    assert_eq!((info("block2").output.to_string(), info("block2.conv1").has_bias), ("32x14x14".into(), true));
    assert!(net.params().iter().any(|spec| spec.name == "block2.shortcut.bn.running_var"));
    assert!(!net.params().iter().any(|spec| spec.name == "block1.conv2.bias"));
    assert_eq!(net.written().iter().map(ToString::to_string).collect::<Vec<_>>(), layers);
}

#[test]
fn blocks_that_cannot_be_added_are_drawn() {
    let message = |layers: &[&str]| build(layers, MNIST).expect_err("does not fit").to_string();
    let valid = message(&["conv 16 3x3 same", "[conv 32 3x3, relu]", "linear 10"]);
    let drawing = "\n    input                       16x28x28\n    conv 32 3x3 valid           32x26x26\n    relu                        32x26x26";
    assert_eq!(
        valid,
        "layer 2 is a residual block that gives 32x26x26 for 16x28x28: its shortcut \"conv 32 1x1 valid\" gives \
         32x28x28, which cannot be added; pad the block's convolutions with \"same\", so that only strides make rows \
         and columns fewer; the shapes are:"
            .to_string()
            + drawing
    );
    let rows = message(&["linear 8", "[linear 12]", "linear 10"]);
    assert!(rows.contains("gives 12 for 8: the two cannot be added; end the block with \"linear 8\";"), "{rows}");
    let mixed = message(&["[conv 4 3x3, linear 12]", "linear 10"]);
    assert!(mixed.contains("gives 12 for 1x28x28: a row cannot be added to feature maps; write"), "{mixed}");
    let inside = message(&["conv 4 3x3", "[relu, conv 4 40x40]", "linear 10"]);
    assert!(inside.starts_with("layer 2.2 \"conv 4 40x40 valid\" cannot take its input of shape 4x26x26"), "{inside}");
    let flat = message(&["flatten", "[tanh]", "linear 10"]);
    assert!(flat.starts_with("layer 2 \"[tanh]\" cannot take its input of shape 784: it takes feature maps"), "{flat}");
    let normed = message(&["flatten", "tanh", "batchnorm", "linear 10"]);
    assert!(normed.ends_with("write it behind one, or before \"flatten\""), "{normed}");
    let blocks = vec![Block::Residual(vec![]), Block::Layer(Layer::Linear { out_features: 10 })];
    let empty = Architecture::of_blocks(MNIST, blocks, 10).expect_err("empty").to_string();
    assert!(empty.starts_with("layer 1 is a residual block without layers"), "{empty}");
    assert_eq!(
        message(&["linear 12", "[flatten, flatten]", "linear 10"]),
        "layer 2 \"[flatten, flatten]\" is a residual block that changes nothing, and would only double its input; \
         write a layer in it that does, such as \"linear 12\", or leave it out"
    );
    assert!(build(&["linear 12", "[flatten, tanh]", "linear 10"], MNIST).is_ok());
}

/// Sizes alone would also fit another stride, and then what is added has seen another place.
#[test]
fn a_shortcut_has_its_blocks_stride() {
    let of = |side: usize, block: &str| {
        let input = ImageShape { channels: 4, height: side, width: side };
        let net = build(&[block, "linear 10"], input).map_err(|error| error.to_string())?;
        let shortcut = net.layers().iter().find(|info| info.name == "block1.shortcut.conv");
        Ok::<_, String>(shortcut.map(|info| info.layer.to_string()))
    };
    // Three rows of twelve: strides of four would fit.
    let why = of(12, "[conv 4 5x5 stride 3]").expect_err("another stride");
    assert!(why.contains("\"conv 4 1x1 stride 3 valid\" gives 4x4x4, which cannot be added"), "{why}");
    // Three rows of three at every second place.
    let why = of(3, "[conv 4 3x3 stride 2 padding 2]").expect_err("another stride");
    assert!(why.contains("\"conv 4 1x1 stride 2 valid\" gives 4x2x2"), "{why}");
    let fits = |side, block| of(side, block).expect("fits").unwrap_or_default();
    assert_eq!(fits(13, "[conv 6 3x3 stride 3x2 same, relu, conv 6 3x3 same]"), "conv 6 1x1 stride 3x2 valid");
    assert_eq!(fits(16, "[conv 6 3x3 stride 2 same, maxpool 2, avgpool 2]"), "conv 6 1x1 stride 8 valid");
    assert_eq!(fits(12, "[conv 6 3x3 stride 2 same, global-avgpool]"), "conv 6 1x1 stride 12 valid");
    assert_eq!(fits(1, "[conv 4 3x3 stride 2 same]"), "");
    let why = of(65, "[global-avgpool]").expect_err("out of range");
    assert!(why.contains("and the stride is 65x65, expected 1 to 64; pool before the block"), "{why}");
}

#[test]
fn the_built_in_recipes_have_their_published_size() {
    let cnn2 = [
        "conv 32 5x5 same",
        "relu",
        "maxpool 2",
        "conv 64 5x5 same",
        "relu",
        "maxpool 2",
        "linear 1024",
        "relu",
        "linear 10",
    ];
    for (layers, parameters, macs) in [
        (&["linear 10"][..], 7_850, 7_840),
        (&["linear 200", "relu", "linear 200", "relu", "linear 10"], 199_210, 198_800),
        (&["conv 32 5x5 same", "relu", "maxpool 2", "linear 1024", "relu", "linear 10"], 6_434_634, 7_059_968),
        (&cnn2, 3_274_634, 13_883_904),
    ] {
        let net = build(layers, MNIST).expect("fits");
        assert_eq!((net.parameters(), net.macs_forward()), (parameters, macs));
        assert_eq!(net.params().iter().map(ParamSpec::len).sum::<usize>(), parameters);
    }
}

#[test]
fn names_and_shapes_are_pytorchs() {
    let net = build(&["conv 32 5x5 same", "relu", "maxpool 2", "linear 20", "relu", "linear 10"], MNIST).expect("fits");
    let names: Vec<&str> = net.layers().iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["conv1", "relu1", "pool1", "fc1", "relu2", "fc2"]);
    assert_eq!(net.layers()[2].output.to_string(), "32x14x14");
    assert_eq!((net.params()[2].name.as_str(), &net.params()[2].shape[..]), ("fc1.weight", &[20, 6272][..]));
}

#[test]
fn a_batch_norm_has_pytorchs_arrays_and_takes_the_place_of_a_bias() {
    let layers = ["conv 6 3x3", "batchnorm", "relu", "conv 5 1x1", "maxpool 2", "batchnorm", "conv 4 1x1", "relu"];
    let net = build(&[&layers[..], &["batchnorm", "linear 7", "batchnorm", "linear 10"]].concat(), MNIST);
    let net = net.expect("fits");
    let names: Vec<&str> = net.params().iter().map(|spec| spec.name.as_str()).collect();
    let of = |n: usize| ["weight", "bias", "running_mean", "running_var"].map(|array| format!("bn{n}.{array}"));
    let expected = [
        &["conv1.weight".to_string()][..],
        &of(1),
        &["conv2.weight".into()],
        &of(2),
        &["conv3.weight".into(), "conv3.bias".into()],
        &of(3),
        &["fc1.weight".into()],
        &of(4),
        &["fc2.weight".into(), "fc2.bias".into()],
    ];
    assert_eq!(names, expected.concat());
    assert_eq!((net.params()[4].shape.as_slice(), net.layers()[1].parameters), (&[6][..], 12));
    let learned = net.params().iter().filter(|spec| spec.is_learned()).map(ParamSpec::len).sum::<usize>();
    assert_eq!(net.parameters(), learned);
}

#[test]
fn grouped_and_depthwise_convolutions_have_pytorchs_shapes() {
    let layers = ["conv 32 3x3", "conv 48 3x3 same groups 4", "depthwise 5x5 stride 2 same", "batchnorm", "linear 10"];
    let net = build(&layers, MNIST).expect("fits");
    let info = |name: &str| net.layers().iter().find(|info| info.name == name).expect("a layer");
    let array = |name: &str| net.params().iter().find(|spec| spec.name == name).expect("an array");
    let grouped = array("conv2.weight");
    assert_eq!((&grouped.shape[..], grouped.fan_in, grouped.fan_out), (&[48, 8, 3, 3][..], 72, 108));
    assert_eq!((info("conv2").macs, info("conv2").groups()), (48 * 72 * 26 * 26, Some(4)));
    let depthwise = array("conv3.weight");
    assert_eq!((&depthwise.shape[..], depthwise.fan_in, depthwise.fan_out), (&[48, 1, 5, 5][..], 25, 25));
    assert_eq!((info("conv3").macs, info("conv3").groups()), (48 * 25 * 13 * 13, Some(48)));
    assert_eq!((info("conv3").output.to_string().as_str(), info("conv3").has_bias), ("48x13x13", false));
    let block = build(&["conv 16 3x3 same", "[depthwise 3x3 stride 2 same, relu]", "linear 10"], MNIST).expect("fits");
    let shortcut = block.layers().iter().find(|info| info.name == "block1.shortcut.conv").expect("a shortcut");
    assert_eq!(shortcut.layer.to_string(), "conv 16 1x1 stride 2 valid");
}

#[test]
fn groups_that_do_not_divide_are_named() {
    let message = |layers: &[&str]| build(layers, MNIST).expect_err("does not fit").to_string();
    assert_eq!(
        message(&["conv 32 3x3", "conv 64 3x3 same groups 3", "linear 10"]),
        "layer 2 \"conv 64 3x3 same groups 3\" cannot take its input of shape 32x26x26: 3 groups do not divide 32 input \
         channels and 64 filters; say \"groups 2\" or 4"
    );
    assert!(
        message(&["conv 4 3x3 groups 2", "linear 10"]).ends_with("1 input channels and 4 filters; say \"groups 1\"")
    );
    assert!(message(&["linear 9", "depthwise 3x3", "linear 10"]).contains("it needs an image"));
    assert!(message(&["depthwise 2x2 same", "linear 10"]).contains("needs an odd kernel"));
}

#[test]
fn a_whitening_layer_has_two_filters_for_each_number_of_a_patch_and_learns_nothing() {
    let net = build(&["whiten 3x2 stride 2 valid", "relu", "linear 10"], COLOUR).expect("fits");
    let (layer, array) = (&net.layers()[0], &net.params()[0]);
    assert_eq!((layer.name.as_str(), layer.output.channels(), layer.parameters), ("whiten1", Some(36), 0));
    assert_eq!((array.name.as_str(), &array.shape[..]), ("whiten1.weight", &[36, 3, 3, 2][..]));
    assert!(!array.is_learned() && net.params()[1].name == "fc1.weight", "it has no bias");
    let Shape::Image(output) = layer.output else { panic!("{}", layer.output) };
    assert_eq!(layer.macs, (36 * 18 * output.height * output.width) as u64);
    let message = |layers: &[&str], shape| build(layers, shape).expect_err("it does not fit").to_string();
    let first = message(&["relu", "whiten 3x3", "linear 10"], MNIST);
    assert!(first.contains("layer 2") && first.contains("it takes the images, so it is the first layer"), "{first}");
    assert!(message(&["conv 4 3x3", "[whiten 3x3]", "linear 10"], MNIST).contains("it is the first layer"));
    assert!(
        message(&["whiten 7x7", "linear 10"], COLOUR).contains("its patches have 147 numbers, expected at most 128")
    );
    assert!(message(&["whiten 4x4 same", "linear 10"], MNIST).contains("needs an odd kernel"));
}

#[test]
fn layers_made_without_a_text_are_checked_too() {
    let message = |layer: Layer| Architecture::new(MNIST, vec![layer], 10).expect_err("out of range").to_string();
    let pool = Layer::MaxPool { kernel_size: (2, 2), stride: (0, 0) };
    assert!(message(pool).contains("the stride is 0x0, expected 1 to 64"));
    assert!(message(Layer::Dropout { probability: 1.5 }).contains("less than 1"));
    let conv = Layer::Conv {
        out_channels: 4,
        kernel_size: (3, 3),
        stride: (1, 1),
        padding: crate::model::Padding::Same,
        groups: 0,
    };
    assert!(message(conv).contains("the number of groups is 0, expected 1 to 4096"));
    assert!(message(Layer::LeakyRelu { slope: 0.0 }).contains("the slope below zero is 0, expected 1e-6 to 1"));
    assert!(message(Layer::Linear { out_features: 0 }).contains("expected 1 to 1048576"));
}

#[test]
fn misfits_name_the_layer_and_the_shapes() {
    let message = |layers: &[&str]| build(layers, MNIST).expect_err("does not fit").to_string();
    assert!(message(&[]).contains("at least one layer"));
    assert_eq!(
        message(&["maxpool 20", "maxpool 9", "linear 10"]),
        "layer 1 \"maxpool 20\" cannot take its input of shape 1x28x28: a pooling window has at most 256 pixels"
    );
    assert_eq!(
        message(&["maxpool 5", "conv 3 9x9 valid", "linear 10"]),
        "layer 2 \"conv 3 9x9 valid\" cannot take its input of shape 1x5x5: the 9x9 window is larger than the 5x5 image"
    );
    assert!(message(&["linear 5", "conv 3 3x3 same"]).contains("needs an image"));
    assert!(message(&["conv 3 4x4 same"]).contains("odd kernel"));
    assert!(message(&["conv 3 3x3 padding 3"]).contains("smaller than the kernel"));
    assert!(message(&["linear 9"]).contains("gives 9; the last layer must be \"linear 10\""));
    assert!(message(&["linear 10", "relu"]).contains("the last layer \"relu\""));
    assert!(message(&["linear 1048576", "linear 1048576", "linear 10"]).contains("parameters, expected at most"));
}
