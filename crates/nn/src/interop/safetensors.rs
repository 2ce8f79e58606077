//! Weights as safetensors, which PyTorch loads by name: `conv1.weight` `[O, I, Kh, Kw]`, `fc1.weight` `[out, in]`, ...

use crate::model::{Architecture, Model, ModelError};
use crate::train::Pixels;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::HashMap;
use thiserror::Error;

/// Why bytes are not the weights of a network.
#[derive(Debug, Error)]
pub enum SafetensorsError {
    /// They are not safetensors.
    #[error("this is not a whole safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    /// An array is not of f32.
    #[error("the array \"{name}\" is of type {found}, expected F32")]
    Type {
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// The arrays are not the network's.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// An array: its name, shape and values.
pub type Array = (String, Vec<usize>, Vec<f32>);

/// The bytes of a safetensors file with the model's arrays in PyTorch's layout, and `metadata` (JSON, if any).
pub fn write(model: &Model, metadata: Option<&str>) -> Vec<u8> {
    let arrays = model.architecture().params().iter().map(|spec| {
        let values = model.tensor(&spec.name).expect("the model has its own arrays");
        (spec.name.clone(), spec.shape.clone(), values)
    });
    write_arrays(&arrays.collect::<Vec<_>>(), metadata)
}

/// The bytes of a safetensors file with these arrays, and `metadata` (JSON, if any) under the one key `tenfold`: with one
/// key the bytes do not depend on the order of a hash map.
///
/// # Panics
/// If an array has not as many values as its shape says.
pub fn write_arrays(arrays: &[Array], metadata: Option<&str>) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the values fit the shape");
        (name.as_str(), view)
    });
    let metadata = metadata.map(|json| HashMap::from([("tenfold".to_string(), json.to_string())]));
    safetensors::serialize(views, metadata).expect("the views are consistent")
}

/// The model of this architecture whose arrays the file holds. `pixels` is what the network sees of a pixel.
pub fn read(bytes: &[u8], architecture: &Architecture, pixels: Pixels) -> Result<Model, SafetensorsError> {
    Ok(Model::from_tensors(architecture.clone(), &read_arrays(bytes)?, pixels)?)
}

/// All arrays of a file; each is of f32.
pub fn read_arrays(bytes: &[u8]) -> Result<Vec<Array>, SafetensorsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut arrays = Vec::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(SafetensorsError::Type { name, found: format!("{:?}", view.dtype()) });
        }
        let values =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
        arrays.push((name, view.shape().to_vec(), values));
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::model::Init;

    fn architecture(layers: &[&str]) -> Architecture {
        let layers = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        Architecture::new(ImageShape { channels: 1, height: 8, width: 8 }, layers, 3).expect("fits")
    }

    #[test]
    fn what_is_written_can_be_read() {
        let net = architecture(&["conv 5 3x3 same", "relu", "maxpool 2", "linear 7", "tanh", "linear 3"]);
        let model = Model::new(net.clone(), Init::Pytorch, 1, Pixels::default());
        let bytes = write(&model, Some("{}"));
        assert_eq!(bytes, write(&model, Some("{}")), "the same bytes every time");
        let again = read(&bytes, &net, Pixels::default()).expect("whole");
        for spec in net.params() {
            assert_eq!(model.tensor(&spec.name), again.tensor(&spec.name), "{}", spec.name);
        }
        assert_eq!(model.tensor("conv2.weight"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let net = architecture(&["linear 3"]);
        let other = architecture(&["linear 4", "relu", "linear 3"]);
        let bytes = write(&Model::new(net.clone(), Init::Pytorch, 1, Pixels::default()), None);
        let message = |bytes: &[u8], net: &Architecture| match read(bytes, net, Pixels::default()) {
            Ok(_) => panic!("accepted"),
            Err(e) => e.to_string(),
        };
        assert!(message(&bytes, &other).contains("expected [4, 64]"));
        assert!(message(&write(&Model::new(other, Init::Zero, 1, Pixels::default()), None), &net).contains("fc2"));
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], &net, Pixels::default()).is_err(), "cut to {len} bytes");
        }
        let nan = Model::from_tensors(
            net.clone(),
            &[("fc1.weight".into(), vec![3, 64], vec![f32::NAN; 192]), ("fc1.bias".into(), vec![3], vec![0.0; 3])],
            Pixels::default(),
        );
        assert!(matches!(nan, Err(ModelError::NotFinite { index: 0, .. })));
    }
}
