//! A study file: what is read of it is written so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_data::ImageShape;
use tenfold_study::Study;

fuzz_target!(|text: &str| {
    match Study::parse(text, "study.toml") {
        Ok(mut study) => {
            study.set_classes(10);
            let written = study.to_toml();
            let again = Study::parse(&written, "again.toml").expect("what was written");
            assert_eq!(again.to_toml(), written);
            for recipe in &study.recipes {
                let _ = recipe.architecture(ImageShape { channels: 1, height: 12, width: 11 }, 10);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
