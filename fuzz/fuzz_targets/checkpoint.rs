//! A checkpoint of the training that the corpus has one of.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tenfold_data::ImageShape;
use tenfold_study::{Study, fuzzing};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 4, width: 4 };

const EXAMPLES: usize = 108;

static STUDY: OnceLock<Study> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let study = STUDY.get_or_init(|| {
        let mut study = Study::parse(include_str!("../small.toml"), "small.toml").expect("a study");
        study.set_classes(2);
        study
    });
    let recipe = &study.recipes[0];
    let architecture = recipe.architecture(SHAPE, 2).expect("a network");
    fuzzing::checkpoint(bytes, &architecture, &recipe.config(1), EXAMPLES);
});
