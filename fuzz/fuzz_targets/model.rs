//! A model file: what it says of its network, and its arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_nn::interop::model_file::TrainedModel;

/// Images of more pixels take long to look at.
const MOST_PIXELS: usize = 4_096;

fuzz_target!(|bytes: &[u8]| {
    match TrainedModel::from_bytes(bytes, "model.safetensors".as_ref()) {
        Ok(network) => {
            let again = TrainedModel::from_bytes(&network.to_bytes(), "again".as_ref()).expect("what was written");
            assert_eq!(again.about, network.about);
            let pixels = network.shape().len();
            if pixels <= MOST_PIXELS {
                let said = network.predict(&vec![7; pixels], 1).expect("one image");
                assert!(said.len() == 1 && said.class(0) < network.about.classes.len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
