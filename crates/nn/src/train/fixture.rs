//! What PyTorch made of small networks, from files.

use super::Pixels;
use super::testing::assert_near;
use crate::data::{Dataset, ImageShape};
use crate::model::{Architecture, BlockText, Model, ParamKind};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// One of `fixtures/networks/*.safetensors`, or `fixtures/look.safetensors`; the scripts there made them and
/// `fixtures/README.md` describes them.
pub(crate) struct Fixture {
    name: String,
    bytes: Vec<u8>,
    pub(super) meta: serde_json::Value,
}

impl Fixture {
    pub(crate) fn load(name: &str) -> Fixture {
        Fixture::at(&format!("networks/{name}"))
    }

    pub(crate) fn at(name: &str) -> Fixture {
        let path = format!("{}/../../fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let meta = header.metadata().as_ref().expect("metadata")["tenfold"].clone();
        Fixture { name: name.into(), meta: serde_json::from_str(&meta).expect("JSON"), bytes }
    }

    pub(crate) fn u8s(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.bytes).expect("whole").tensor(name).expect(name).data().to_vec()
    }

    /// An array of f64, or of f32 widened; `None` if the file has no such array.
    pub(crate) fn f64s(&self, name: &str) -> Option<Vec<f64>> {
        let file = SafeTensors::deserialize(&self.bytes).expect("whole");
        let view = file.tensor(name).ok()?;
        Some(match view.dtype() {
            Dtype::F64 => view.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect(),
            Dtype::F32 => {
                view.data().chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("4")))).collect()
            }
            other => panic!("{name} is {other:?}"),
        })
    }

    pub(super) fn usize(&self, key: &str) -> usize {
        self.meta[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
    }

    pub(crate) fn f64(&self, key: &str) -> f64 {
        self.meta[key].as_f64().unwrap_or_else(|| panic!("{key}"))
    }

    pub(crate) fn architecture(&self) -> Architecture {
        let input: Vec<usize> = serde_json::from_value(self.meta["input"].clone()).expect("input");
        let layers: Vec<BlockText> = serde_json::from_value(self.meta["layers"].clone()).expect("layers");
        let layers = layers.iter().map(|block| block.parse().expect("layers")).collect();
        let input = ImageShape { channels: input[0], height: input[1], width: input[2] };
        Architecture::of_blocks(input, layers, self.usize("classes")).expect("fits")
    }

    pub(crate) fn data(&self) -> Dataset {
        let net = self.architecture();
        let labels = self.u8s("labels").into_iter().map(u16::from).collect();
        Dataset::new(self.u8s("images"), labels, net.input(), net.classes()).expect("whole")
    }

    /// The model with the parameters of the fixtures' formula, and whitening filters as numpy finds them.
    pub(crate) fn model(&self, pixels: Pixels) -> Model {
        let net = self.architecture();
        let arrays: Vec<_> = net
            .params()
            .iter()
            .enumerate()
            .map(|(array, spec)| {
                let (middle, bound) = match spec.kind {
                    // They follow from the images, and are in the file.
                    ParamKind::FixedWeight => {
                        let values = self.f64s(&format!("{}.f64", spec.name)).expect("filters");
                        return (spec.name.clone(), spec.shape.clone(), values.into_iter().map(|v| v as f32).collect());
                    }
                    ParamKind::Weight | ParamKind::Bias => (0.0, 1.0 / (spec.fan_in as f64).sqrt()),
                    ParamKind::Scale | ParamKind::RunningVariance => (1.0, 0.5),
                    ParamKind::Shift | ParamKind::RunningMean => (0.0, 0.5),
                };
                let values: Vec<f32> = (0..spec.len() as u32)
                    .map(|j| {
                        let mut x = j.wrapping_add((array as u32 + 1).wrapping_mul(0x9E37_79B9));
                        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
                        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
                        x ^= x >> 16;
                        (middle + (f64::from(x >> 8) / 8_388_608.0 - 1.0) * bound) as f32
                    })
                    .collect();
                let sample = self.f64s(&format!("init_sample.{}", spec.name)).expect("a sample");
                for (value, expected) in values.iter().zip(sample) {
                    assert_eq!(f64::from(*value), expected, "the formula of {}", spec.name);
                }
                (spec.name.clone(), spec.shape.clone(), values)
            })
            .collect();
        Model::from_tensors(net, &arrays, pixels).expect("the arrays fit")
    }

    /// Compares `got` with the array `name`, whole or sampled: within `tolerance` of the largest value.
    pub(crate) fn check(&self, name: &str, param: Option<&str>, got: &[f64], tolerance: f64) {
        let what = format!("{} of {}", name, self.name);
        for suffix in [".f64", ""] {
            if let Some(expected) = self.f64s(&format!("{name}{suffix}")) {
                return assert_near(got, &expected, tolerance, &what);
            }
        }
        let param = param.unwrap_or_else(|| panic!("{what} is missing"));
        let stride = self.meta["parameters"][param]["stride"].as_u64().expect("a stride") as usize;
        let sample: Vec<f64> = got.iter().copied().step_by(stride).collect();
        let sampled = |suffix: &str| self.f64s(&format!("{name}.{suffix}"));
        let expected =
            sampled("sample.f64").or_else(|| sampled("sample")).unwrap_or_else(|| panic!("{what} is missing"));
        assert_near(&sample, &expected, tolerance, &what);
        if let Some(norm) = sampled("norm.f64") {
            let got_norm = got.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!(
                (got_norm - norm[0]).abs() <= tolerance * norm[0],
                "norm of {what}: {got_norm}, expected {}",
                norm[0]
            );
        }
    }
}
