//! Weights as safetensors, which PyTorch loads by name: `conv1.weight` `[O, I, Kh, Kw]`, `fc1.weight` `[out, in]`, ...

use crate::model::{Architecture, Model, ModelError};
use crate::train::Pixels;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
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
    /// They do not say what the network sees of a pixel.
    #[error("its metadata do not say what the network sees of a pixel: {0}")]
    Pixels(String),
    /// The arrays are not the network's.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// An array: its name, shape and values.
pub type Array = (String, Vec<usize>, Vec<f32>);

/// The bytes of a safetensors file with the model's arrays in PyTorch's layout, and `metadata` (JSON, if any).
#[expect(clippy::missing_panics_doc, reason = "a model has the arrays of its architecture")]
pub fn write(model: &Model, metadata: Option<&str>) -> Vec<u8> {
    let arrays = model.architecture().params().iter().map(|spec| {
        let values = model.tensor(&spec.name).expect("the model has its own arrays");
        (spec.name.clone(), spec.shape.clone(), values)
    });
    write_arrays(&arrays.collect::<Vec<_>>(), metadata)
}

/// The bytes of a safetensors file with these arrays, ordered by name. Its metadata says that they are PyTorch's,
/// without which some programs refuse the file (`format` is `pt`), and has `metadata` (JSON, if any) under the key
/// `tenfold`.
///
/// The header is written here, with its keys in order, because the library writes metadata in the order of a hash map.
///
/// # Panics
/// If an array has not as many values as its shape says.
pub fn write_arrays(arrays: &[Array], metadata: Option<&str>) -> Vec<u8> {
    let mut arrays: Vec<&Array> = arrays.iter().collect();
    arrays.sort_by_key(|(name, ..)| name);
    let mut about = BTreeMap::from([("format", "pt")]);
    about.extend(metadata.map(|json| ("tenfold", json)));
    let mut entries = BTreeMap::from([("__metadata__", json!(about))]);
    let mut end = 0;
    for (name, shape, values) in &arrays {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name} of shape {shape:?}");
        let start = end;
        end += size_of_val(&values[..]);
        entries.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let mut header = serde_json::to_vec(&entries).expect("names and numbers are plain values");
    // The values begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for (.., values) in arrays {
        let start = bytes.len();
        bytes.resize(start + size_of_val(&values[..]), 0);
        // Value by value, which the compiler makes one copy of; byte by byte it does not.
        for (bytes, value) in bytes[start..].chunks_exact_mut(size_of::<f32>()).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// The model of this architecture whose arrays the file holds. `pixels` is what the network sees of a pixel.
///
/// # Errors
/// If the file is no safetensors file of f32, or its arrays are not those of the architecture, finite.
pub fn read(bytes: &[u8], architecture: &Architecture, pixels: Pixels) -> Result<Model, SafetensorsError> {
    Ok(Model::from_tensors(architecture.clone(), &read_arrays(bytes)?, pixels)?)
}

/// The metadata that [`write()`] was given, if any.
///
/// # Errors
/// If `bytes` are no safetensors file.
pub fn metadata(bytes: &[u8]) -> Result<Option<String>, SafetensorsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    Ok(header.metadata().as_ref().and_then(|about| about.get("tenfold").cloned()))
}

/// All arrays of a file; each is of f32.
///
/// # Errors
/// If `bytes` are no safetensors file, or an array is not of f32.
#[expect(clippy::missing_panics_doc, reason = "chunks of four are four bytes")]
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
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;

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
    fn metadata_say_whose_arrays_these_are() {
        let net = architecture(&["linear 2", "relu", "linear 3"]);
        let model = Model::new(net.clone(), Init::Pytorch, 1, Pixels::default());
        for about in [None, Some("{\"recipe\":\"a \\\"quoted\\\" one\"}")] {
            let bytes = write(&model, about);
            assert_eq!(metadata(&bytes).expect("a safetensors header").as_deref(), about);
            let (length, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
            let found = header.metadata().clone().expect("there are metadata");
            assert_eq!((found["format"].as_str(), found.get("tenfold").map(String::as_str)), ("pt", about));
            assert_eq!(length % 8, 0, "values are aligned");
        }
    }

    /// Earlier versions let the library write the header, with other metadata.
    #[test]
    fn values_are_where_the_library_puts_them_and_its_files_are_read() {
        let net = architecture(&["conv 2 3x3 same", "relu", "linear 3"]);
        let model = Model::new(net.clone(), Init::Pytorch, 1, Pixels::default());
        let arrays: Vec<(&str, Vec<usize>, Vec<u8>)> = net
            .params()
            .iter()
            .map(|spec| {
                let values = model.tensor(&spec.name).expect("its own array");
                (&*spec.name, spec.shape.clone(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .collect();
        let views = arrays.iter().map(|(name, shape, bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the values fit the shape"))
        });
        let metadata = HashMap::from([("tenfold".to_owned(), "{}".to_owned())]);
        let before = safetensors::serialize(views, Some(metadata)).expect("the views are consistent");
        let now = write(&model, Some("{}"));
        let values = |bytes: &[u8]| bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..].to_vec();
        assert_eq!(values(&now), values(&before));
        let again = read(&before, &net, Pixels::default()).expect("a file of an earlier version");
        assert_eq!(write(&again, Some("{}")), now);
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
